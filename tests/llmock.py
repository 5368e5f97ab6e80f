#!/usr/bin/env python3
"""Lets a mock of others judge how campaigns treat a provider that fails.

    python3 tests/llmock.py [BINARY]

Installs `llmock` from PyPI into a virtual environment of its own, starts it, and runs a small campaign
against it for each scenario below. Exits with 0 when `llmock report --strict` has nothing to say about
our client in any of them, with 1 when it has, and says SKIPPED where the mock cannot be had. Nothing
else needs this script: `cargo test` tests the same behaviour by itself.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PACKAGE = "llmock==0.2.2"
ROOT = pathlib.Path(__file__).resolve().parent.parent
WAIT_SECONDS = 60

# Name, what the mock does, the exit codes of `optim run` that are right.
# 0: completed, 7: a person must decide, 10: the provider cannot be reached.
SCENARIOS = [
    ("no faults", [], (0, 7)),
    ("429 that asks for two seconds", [{"type": "fail", "status": 429, "retry_after": 2, "times": 2}], (0, 7)),
    # Longer than a run waits: the scheduler keeps the provider's runs in the queue.
    ("429 that asks for twelve seconds", [{"type": "fail", "status": 429, "retry_after": 12, "times": 2}], (0, 7)),
    ("429 that asks for nothing", [{"type": "fail", "status": 429, "times": 2}], (0, 7)),
    ("503, then 500", [{"type": "fail", "status": 503, "times": 1}, {"type": "fail", "status": 500, "times": 1}], (0, 7)),
    ("503 that lasts", [{"type": "fail", "status": 503, "times": 1000}], (10,)),
    ("401", [{"type": "fail", "status": 401, "times": 1000}], (10,)),
    ("400", [{"type": "fail", "status": 400, "times": 1000}], (10,)),
    ("404", [{"type": "fail", "status": 404, "times": 1000}], (10,)),
]


def skipped(why):
    print(f"SKIPPED: {why}")
    sys.exit(0)


def install(folder):
    """The mock's command."""
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", PACKAGE]
        subprocess.run(pip, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        skipped(f"{PACKAGE} cannot be installed: {error}")
    return folder / "bin/llmock"


def binary():
    if len(sys.argv) > 1:
        return pathlib.Path(sys.argv[1]).resolve()
    subprocess.run(["cargo", "build", "--quiet", "--package", "optim-server", "--bin", "optim"], cwd=ROOT, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/optim"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def call(url, document=None):
    data = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as reply:
        return reply.read()


def await_server(url):
    for _ in range(WAIT_SECONDS * 10):
        try:
            return call(f"{url}/health")
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit("the mock does not start")


def project(folder, url):
    """The example for models, with two cases and one candidate."""
    shutil.copytree(ROOT / "examples/delivery-day", folder)
    settings = folder / "optim.toml"
    settings.write_text(settings.read_text().replace("http://127.0.0.1:8080", url))
    cases = folder / "cases/orders.jsonl"
    search = [line for line in cases.read_text().splitlines(keepends=True) if '"search"' in line]
    cases.write_text("".join(search[:2]))
    budget = folder / "policy/budget.yaml"
    budget.write_text(budget.read_text().replace("max_experiments: 3", "max_experiments: 1"))


def judge(mock, url, optim, folder, scenario):
    """Whether the mock is content with a campaign under this scenario."""
    name, behaviors, wanted = scenario
    call(f"{url}/_llmock/reset", {})
    if behaviors:
        call(f"{url}/_llmock/scenario", {"behaviors": behaviors})
    project(folder, url)
    ran = subprocess.run([optim, "-C", folder, "run", "--json"], capture_output=True, text=True, timeout=600)
    report = subprocess.run([mock, "report", "--strict", "--url", url], capture_output=True, text=True)
    fine = ran.returncode in wanted and report.returncode == 0
    print(f"== {name}: {'ok' if fine else 'NOT OK'}, optim exits with {ran.returncode}")
    print(report.stdout.strip())
    if not fine:
        print(ran.stderr[-2000:])
    return fine


def main():
    with tempfile.TemporaryDirectory(prefix="optim-llmock-") as temporary:
        temporary = pathlib.Path(temporary)
        mock, optim = install(temporary / "venv"), binary()
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        serve = [mock, "serve", "--port", str(port), "--log-level", "error"]
        server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            await_server(url)
            verdicts = [
                judge(mock, url, optim, temporary / f"project-{index}", scenario)
                for index, scenario in enumerate(SCENARIOS)
            ]
        finally:
            server.terminate()
            server.wait()
    good = sum(verdicts)
    print(f"\n{good} of {len(verdicts)} scenarios are fine with {PACKAGE}")
    sys.exit(0 if all(verdicts) else 1)


if __name__ == "__main__":
    main()
