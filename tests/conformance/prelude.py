# Comes before each section's script. A check has the name of what it checks; `differs` says what is not as in the NixOS
# driver, and why; `missing` says what is not there.
def check(name, differs=None, missing=None):
    import json, os, traceback

    def run(function):
        try:
            function()
            problem = None
        except BaseException:
            problem = traceback.format_exc()
        with open(os.environ["CONFORMANCE_ROWS"], "a") as rows:
            rows.write(json.dumps({"name": name, "differs": differs, "missing": missing, "problem": problem}) + "\n")
        return function

    return run


def raises(kind, text, work, *args, **kwargs):
    try:
        work(*args, **kwargs)
    except kind as error:
        assert text in str(error), "%r is not in %r" % (text, str(error))
        return error
    raise AssertionError("%r was not raised" % (kind,))


def logged(text):
    import os, time

    end = time.monotonic() + 10
    while time.monotonic() < end:
        with open(os.environ["LOGFILE"]) as log:
            if text in log.read():
                return
        time.sleep(0.02)
    raise AssertionError("%r is not in the log" % text)


