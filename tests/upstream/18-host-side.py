# machines:
# What scripts do on the host: files, programs, the environment, modules.
import json
import pathlib
import re
import subprocess
import tempfile

with open("beside.json", "w") as file:
    json.dump({"a": [1, 2]}, file)
assert json.loads(pathlib.Path("beside.json").read_text())["a"] == [1, 2]
done = subprocess.run(["echo", "from a program"], capture_output=True, text=True, check=True)
print(done.stdout, end="")
subprocess.run("echo straight through", shell=True, check=True)
print(os.environ.get("nothing", "unset"), os.path.basename(os.getcwd()))
with tempfile.TemporaryDirectory() as folder:
    (pathlib.Path(folder) / "x").write_text("y")
print(re.findall(r"(?P<word>\w+)(?= there)", "hello there"))
print(__name__, "__file__" in globals())
