"""The suite of `conformance/` on a lab of its own: every case of it, with outages."""

import importlib
import os
import pathlib
import sys
import unittest

from lab import CAUSEWAY, Lab

SUITE = pathlib.Path(__file__).parents[2] / "conformance"


class OnALab(unittest.TestSuite):
    """Runs what is in it while a lab runs."""

    def run(self, result, debug=False):
        lab = Lab("--delay-scale", "0.1")
        before = dict(os.environ)
        causeway = f"'{CAUSEWAY}' fault %s --data '{lab.data}'"
        try:
            os.environ.update(lab.credentials())
            os.environ.update({
                "CONFORMANCE_CUT": causeway % "cut {0} {1}",
                "CONFORMANCE_HEAL": causeway % "heal",
            })
            importlib.import_module("support").forget()
            # The council elects its leader just after a start; IAM says so by `Throttling`.
            lab.route53()
            super().run(result, debug)
            # What the cases remove when their module ends, they remove from this lab.
            self._tearDownPreviousClass(None, result)
            self._handleModuleTearDown(result)
            result._previousTestClass = None
            return result
        finally:
            os.environ.clear()
            os.environ.update(before)
            lab.close()


def load_tests(loader, _tests, _pattern):
    """The cases of the suite, in place of this module's."""
    sys.path.insert(0, str(SUITE))
    names = sorted(path.stem for path in SUITE.glob("test_*.py"))
    modules = [importlib.import_module(name) for name in names]
    return OnALab(loader.loadTestsFromModule(module) for module in modules)


if __name__ == "__main__":
    unittest.main()
