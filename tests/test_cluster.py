"""Who reaches the processes of a batch."""

from __future__ import annotations

import ipaddress
import json
import socket
import urllib.request

import psutil
import pytest
from batches import command, jobs, running_cluster, until
from distributed import Client
from distributed.security import Security

from advlib import cli
from advlib.batch import cluster, execute, store


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Where a process and all that it started listen."""
    return {
        tuple(found.laddr)
        for one in (process, *process.children(recursive=True))
        for found in one.net_connections("inet")
        if found.status == psutil.CONN_LISTEN or found.type == socket.SOCK_DGRAM
    }


def test_a_batch_listens_on_loopback_only_and_shows_no_page(bare):
    with command("-p", "label", "hangs") as going:
        until((bare / "started").exists)
        ports = listening(psutil.Process(going.pid))
        for host, port in ports:
            with pytest.raises(OSError, match=r"404|reset|timed out"):  # no page, or no HTTP
                urllib.request.urlopen(f"http://{host}:{port}/status", timeout=5)
        going.terminate()
    assert len(ports) > 2
    assert all(ipaddress.ip_address(host).is_loopback for host, _ in ports)


def test_another_user_of_the_machine_is_not_let_in():
    with cluster.own(1, []) as client:
        for security in (None, Security.temporary()):
            address = client.scheduler.address
            if security is None:
                address = address.replace("tls://", "tcp://")
            with pytest.raises(OSError, match=r"certificate|Timed out|closed"):
                Client(address, security=security, timeout=3)
        assert client.submit(abs, -1).result() == 1


def test_the_dashboard_is_there_when_asked_for(bare):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with command("-p", "label", "hangs", "--dashboard", str(port)) as going:
        until((bare / "started").exists)
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10).read()
        ports = listening(psutil.Process(going.pid))
    assert page == b"ok"
    assert {host for host, _ in ports} == {"127.0.0.1"}


def test_certificates_of_a_cluster_come_from_dask_s_configuration(bare, monkeypatch):
    made = Security.temporary()
    files = {}
    for name in ("ca_file", "client_cert", "client_key"):
        files[name] = bare / f"{name}.pem"
        files[name].write_text(getattr(made, f"tls_{name}"))
    tls = ["--protocol", "tls", "--tls-ca-file", files["ca_file"]]
    tls += ["--tls-cert", files["client_cert"], "--tls-key", files["client_key"]]
    (job,) = jobs("")
    with running_cluster(bare, 1, *map(str, tls)) as (file, _):
        address = json.loads((bare / "scheduler.json").read_text())["address"]
        assert address.startswith("tls://")
        assert cli.main(["run", "--scheduler", address]) == 2
        settings = {
            "CA_FILE": "ca_file",
            "CLIENT__CERT": "client_cert",
            "CLIENT__KEY": "client_key",
        }
        for name, key in settings.items():
            monkeypatch.setenv(f"DASK_DISTRIBUTED__COMM__TLS__{name}", str(files[key]))
        with command("--scheduler", file) as going:
            said = going.communicate(timeout=100)
    assert going.returncode == 0, said
    assert store.is_complete(store.folder(job))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--gpus", "7"], "gpus: must be none: there is none, got 7"),
        (["--gpus", "one"], "gpus: must be auto, none, or numbers as in 0,2; got one"),
        (["--memory", "much"], "memory: must be a size such as 8GB, got 'much'"),
        (["--memory", "0"], "memory: must be a whole number of at least 1, got 0"),
        (["--workers", "0"], "workers: must be a whole number of at least 1, got 0"),
        (["--threads", "-1"], "threads: must be a whole number of at least 1, got -1"),
        (["--timeout", "0"], "timeout: must be a whole number of at least 1, got 0"),
        (["--dashboard", "0"], "dashboard: must be a whole number of at least 1, got 0"),
        (["--scheduler", "here"], "scheduler: nobody answers at here"),
        (["--scheduler", "tcp://"], "scheduler: nobody answers at tcp://"),
        (["--scheduler", "tls://127.0.0.1:9"], "scheduler: nobody answers at tls://127.0.0.1:9"),
        (["--scheduler", "tcp://x:1", "--workers", "2"], "scheduler: has its own workers"),
    ],
)
def test_an_option_that_cannot_be_is_named(bare, capfd, monkeypatch, words, says):
    monkeypatch.setattr(cluster.torch.cuda, "device_count", lambda: 0)
    assert cli.main(["run", *words]) == 2
    assert f"advlib: {says}" in capfd.readouterr().err
    assert not (bare / "tally").exists()


def test_no_more_workers_than_jobs(bare, monkeypatch):
    asked = []
    own = cluster.own
    monkeypatch.setattr(cluster, "own", lambda n, *a, **o: (asked.append(n), own(n, *a, **o))[1])
    assert execute.run(jobs(""), workers=64) == []
    assert asked == [1]
