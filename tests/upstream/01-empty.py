# machines:
pass
