"""The game day of a global database, on a short schedule: its report names every acknowledged row
that is missing, says where it is kept, and nothing of the lab outlives it."""

import json
import pathlib
import subprocess
import tempfile
import unittest

from databases import NOT_TESTED, POSTGRES
from lab import CAUSEWAY

SCENARIO = "aurora-global-failover"
# Short, and wide enough for a machine that does much besides: what is judged here is what is named,
# the figures are the scenario's own.
SHORT = {
    "warm_up": "6s", "reaction": "2s", "read": "12s", "outage": "18s", "rejoin": "35s",
    "settle": "25s", "rate": 20, "within": 17, "takeover": 24,
}


class GlobalGameDay(unittest.TestCase):
    """`causeway gameday run aurora-global-failover`."""

    @unittest.skipUnless(POSTGRES, NOT_TESTED)
    def test_a_writer_dies_another_takes_over_and_gives_back(self):
        with tempfile.TemporaryDirectory(prefix="causeway-gameday-report-") as folder:
            words = [f"{name}={value}" for name, value in SHORT.items()]
            settings = [part for word in words for part in ("--set", word)]
            ran = subprocess.run(
                [CAUSEWAY, "gameday", "run", SCENARIO, "--json", "--report", folder, *settings],
                capture_output=True, text=True, timeout=600, check=False)
            report = json.loads(ran.stdout or "{}")
            self.assertEqual(
                ran.returncode, 0, f"{ran.stderr}\n{report.get('story')}\n{report.get('metrics')}")
            page = pathlib.Path(folder, "report.html").read_text(encoding="utf-8")
        metrics, story = report["metrics"], " ".join(report["story"])
        print("\n".join(report["story"]))
        self.assertEqual(metrics["split_brain_rows"], 0)
        self.assertEqual(metrics["lost_for_good"], 0)
        self.assertEqual(metrics["applied_twice"], 0)
        self.assertIn("At no time did two Regions acknowledge rows.", story)
        served = report["all"]["served"]
        self.assertGreater(min(served["us-east-1"], served["eu-west-1"]), 100, served)
        # Each row that is missing is named, with who acknowledged it and when.
        aside = report["kept_aside"]
        self.assertEqual(aside["count"], metrics["missing_rows"])
        self.assertEqual(len(aside["listed"]), aside["count"])
        for row in aside["listed"]:
            self.assertRegex(row["id"], r"^(ohio|london)-\d{6}$")
            self.assertEqual(row["region"], "us-east-1")
            self.assertLess(row["acknowledged_s"], report["moments"]["struck_s"] + 1)
            self.assertIn(row["id"], page)
        moves = [move["step"] for move in report["takeovers"]]
        self.assertEqual(moves, ["failover", "switchover"])

    def test_without_postgresql_it_says_what_to_install(self):
        # The only place where it is found whatever PATH says.
        if pathlib.Path("/usr/lib/postgresql/15/bin/postgres").exists():
            self.skipTest("NOT TESTED: PostgreSQL is installed in Debian's place")
        ran = subprocess.run(
            [CAUSEWAY, "gameday", "run", SCENARIO], capture_output=True, text=True, timeout=60,
            check=False, env={"PATH": "/nonexistent"})
        self.assertEqual(ran.returncode, 2, ran.stderr)
        self.assertIn("PostgreSQL", ran.stderr)


if __name__ == "__main__":
    unittest.main()
