"""The AWS SDK for JavaScript: the script beside this file, run by Node.js with what `causeway env`
sets."""

import os
import pathlib
import shutil
import subprocess
import unittest

from s3 import IRELAND, Objects

SCRIPT = pathlib.Path(__file__).parent / "javascript" / "objects.mjs"

# Where `cargo xtask test` installs the SDK.
MODULES = pathlib.Path(
    os.environ.get("CAUSEWAY_NODE_MODULES", pathlib.Path(__file__).parents[2] / "target/javascript")
)


class JavaScript(Objects):
    """One lab; the script makes what it needs."""

    def test_the_sdk_for_javascript(self):
        if not shutil.which("node"):
            self.skipTest("NOT TESTED: Node.js is not installed")
        if not (MODULES / "node_modules/@aws-sdk/client-s3").is_dir():
            self.skipTest("NOT TESTED: the AWS SDK for JavaScript is not installed")
        # The council elects its leader just after a start.
        self.bucket(IRELAND)
        script = MODULES / SCRIPT.name
        shutil.copy(SCRIPT, script)
        result = subprocess.run(
            ["node", str(script)], capture_output=True, text=True, timeout=120,
            env={**self.lab.environment, "OTHER_REGION": IRELAND, "ROLE": self.role()},
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("all done", result.stdout)


if __name__ == "__main__":
    unittest.main()
