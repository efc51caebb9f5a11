"""Started by innkeeper as ``python3 <this directory> SCRIPT``. Needs Python 3.9 and the standard library."""

import sys

if sys.version_info < (3, 9):  # Said before anything is imported that an older Python cannot even read.
    sys.exit("innkeeper: test scripts need Python 3.9 or later, and this is %s (%s)"
             % (sys.version.split()[0], sys.executable))

from innkeeper.runner import main

main(sys.argv[1])
