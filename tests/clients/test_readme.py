"""The README's commands, read from it and run in their order by a shell, as a newcomer would."""

import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

from lab import CAUSEWAY, Lab, eventually

README = pathlib.Path(__file__).parents[2] / "README.md"

# What the lab here replaces: it was built and started already, and is on its PATH.
NOT_RUN = ("cargo ", "export PATH=")

# Takes minutes; the game days have tests of their own.
ONLY_CHECKED = "causeway gameday run "


def commands():
    """The indented lines of the README, those that go on with a backslash joined."""
    found, begun = [], ""
    for line in README.read_text().splitlines():
        if not line.startswith("    "):
            continue
        begun += line.strip()
        if begun.endswith("\\"):
            begun = begun[:-1]
        else:
            found.append(begun)
            begun = ""
    return found


class Readme(unittest.TestCase):
    """One lab in the folder where its commands run, with the README's delays."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.variables = ""
        for shown in ("examples", "gamedays", "README.md"):
            os.symlink(README.parent / shown, pathlib.Path(cls.lab.folder.name, shown))

    def shell(self, command, expected=0):
        """Runs a line in the lab's folder, after the line that sets the environment."""
        command = self.variables + command.replace("-p 5300", f"-p {self.lab.dns_port}")
        command = command.replace("4566", str(self.lab.port))
        folders = (os.path.dirname(CAUSEWAY), os.path.dirname(sys.executable))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        result = subprocess.run(
            ["sh", "-e", "-c", f'eval "$(causeway env)"\n{command}'],
            capture_output=True,
            text=True,
            cwd=self.lab.folder.name,
            env={**clean, "PATH": os.pathsep.join((*folders, os.environ["PATH"]))},
            timeout=60,
        )
        output = f"{command}\n{result.stdout}{result.stderr}"
        self.assertEqual(result.returncode, expected, output)
        return result.stdout

    def test_its_commands_in_their_order(self):
        found = commands()
        self.assertEqual(found[0], "cargo xtask up")
        self.assertIn('eval "$(causeway env)"', found)
        conflict, answered = "", 0
        for command in found:
            if command.startswith(NOT_RUN):
                continue
            command = command.replace(" ID", f" {conflict}")
            if command.startswith(ONLY_CHECKED):
                command = command.replace(" run ", " check ").split(" --report")[0]
            assigned = re.match(r"(\w+)=\$\(", command)
            if assigned:
                value = self.shell(f"{command}; echo ${assigned[1]}").strip()
                self.variables += f"{assigned[1]}='{value}'\n"
                continue
            denied = command.startswith("causeway identity explain dynamodb:DeleteTable")
            printed = self.shell(command, expected=1 if denied else 0)
            if command.startswith("causeway identity explain dynamodb:PutItem"):
                self.assertIn("WriteOrders", printed)
            if command.startswith("dig "):
                # The change is on its way to the edge.
                nearest = "127.1.1.1" if "127.64.1.1" in command else "127.1.2.1"
                eventually(lambda: self.shell(command).strip() == nearest)
                answered += 1
            if command.startswith("curl "):
                # Nothing is known of an accelerator's endpoint yet: the nearest takes it all the
                # same. A balancer is its Region's own.
                region = "us-east-1" if "$node" in command else "eu-west-1"
                self.assertEqual(printed.strip(), f"healthy: dynamodb.{region}.amazonaws.com")
            if command.startswith("causeway accelerator explain "):
                self.assertIn("us-east-1", printed)
            if command.startswith("causeway explain "):
                self.assertIn("ireland", printed)
            if "Table.Replicas" in command:
                eventually(lambda: '"ACTIVE"' in self.shell(command))
            if command == "causeway conflicts list":
                # The link takes its time to come back.
                eventually(lambda: "Orders" in self.shell(command))
                rows = json.loads(self.shell(command + " --json"))["conflicts"]
                self.assertEqual(len(rows), 1, rows)
                conflict = rows[0]["id"]
            if command.startswith("causeway conflicts show "):
                sides = json.loads(printed)
                self.assertEqual(sides["winner"]["image"]["by"]["S"], "Ireland")
                self.assertEqual(sides["loser"]["image"]["by"]["S"], "Virginia")
        self.assertTrue(conflict, "the README has no conflict any more")
        self.assertEqual(answered, 2, "the README has not both answers any more")
        for region in ("us-east-1", "eu-west-1"):
            read = f"""aws dynamodb get-item --region {region} --table-name Orders \
                --key '{{"id":{{"S":"1"}}}}' --query Item.by.S --output text"""
            eventually(lambda: self.shell(read).strip() == "Virginia")


if __name__ == "__main__":
    unittest.main()
