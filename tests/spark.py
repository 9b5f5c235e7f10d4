"""A Spark standalone cluster on this machine, to try and to test: one master, two workers of one core, loopback only.

    make spark-up, make spark-down          or: python tests/spark.py up | down

Process ids and logs lie in .spark/ (JIANFU_SPARK names another folder). Whoever may open its ports may run code as you: it is for a
machine of your own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(os.environ.get("JIANFU_SPARK", ROOT / ".spark")).resolve()
PORT = int(os.environ.get("SPARK_PORT", "7077"))
MASTER = f"spark://127.0.0.1:{PORT}"
WORKERS = 2
PATIENCE = 60  # seconds until the master listens and its workers are there
_LOOPBACK = ["--host", "127.0.0.1", "--webui-port", "0"]


def up() -> str:
    """Start the cluster; returns its address. Raises RuntimeError where it does not come up: what the log says last."""
    if list(HERE.glob("*.pid")):
        raise RuntimeError(f"{HERE}: a cluster was started from here; run make spark-down first")
    HERE.mkdir(parents=True, exist_ok=True)
    _start("master", "org.apache.spark.deploy.master.Master", *_LOOPBACK, "--port", str(PORT))
    try:
        _wait("master", lambda: _listens(PORT))
        for n in range(WORKERS):
            size = ["--cores", "1", "--memory", "1g", "--work-dir", str(HERE / f"work-{n}")]
            _start(f"worker-{n}", "org.apache.spark.deploy.worker.Worker", *_LOOPBACK, *size, MASTER)
        for n in range(WORKERS):
            _wait(f"worker-{n}", lambda n=n: "Successfully registered with master" in _log(f"worker-{n}"))
    except RuntimeError:
        down()
        raise
    return MASTER


def down() -> None:
    """Stop what `up` started."""
    for file in sorted(HERE.glob("*.pid"), reverse=True):  # workers first
        pid = int(file.read_text())
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            for _ in range(100):
                time.sleep(0.1)
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                os.kill(pid, 0)
            os.kill(pid, signal.SIGKILL)
        file.unlink()
    for folder in HERE.glob("work-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _start(name: str, what: str, *arguments: str) -> None:
    import pyspark

    home = Path(pyspark.__file__).parent
    env = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",  # where its pages are served
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
        "SPARK_LOG_DIR": str(HERE),
        "PYTHONPATH": os.pathsep.join(
            [str(ROOT), str(ROOT / "tests")]
        ),  # its workers run this checkout, and jobs of tests
    }
    with (HERE / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(home / "bin" / "spark-class"), what, *arguments],
            env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (HERE / f"{name}.pid").write_text(str(process.pid))


def _log(name: str) -> str:
    return (HERE / f"{name}.log").read_text(encoding="utf-8", errors="replace")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _wait(name: str, ready: "type[bool] | object") -> None:
    pid = int((HERE / f"{name}.pid").read_text())
    for _ in range(10 * PATIENCE):
        if ready():  # type: ignore[operator]
            return
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0]:
                break
        time.sleep(0.1)
    raise RuntimeError(f"{name} of the Spark cluster did not come up; its log ends:\n{_log(name)[-800:]}")


if __name__ == "__main__":
    if sys.argv[1:] == ["up"]:
        print(up())
    elif sys.argv[1:] == ["down"]:
        down()
    else:
        sys.exit(__doc__)
