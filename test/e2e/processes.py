"""Bad input to the processes: one clear line and an exit status, or a readiness that says why."""
import contextlib
import json
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

from cases import case
from cluster import NotYet, free_port, wait_for
from services import THREE, Process, build_folder, message_urls, url_flags

PROGRAMS = ("ckaito", *(f"ckaito-{name}" for name in THREE))


def run(program, *flags, **environment):
    """(exit status, standard output, standard error) of a program that must end by itself."""
    try:
        result = subprocess.run([build_folder() / program, *flags], capture_output=True, text=True, timeout=10,
                                env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment}, check=False)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{program} {' '.join(map(str, flags))} still runs after 10 s") from error
    return result.returncode, result.stdout, result.stderr


def refused(program, *flags, words, **environment):
    """The program says what is wrong in one line and exits with a small positive status."""
    status, _, said = run(program, *flags, **environment)
    lines = said.strip().splitlines()
    called = f"{program} {' '.join(map(str, flags))}"
    assert 0 < status < 128, f"{called}: exit status {status}; {said[-300:]}"
    assert len(lines) == 1, f"{called}: {len(lines)} lines: {said[-600:]}"
    for word in words:
        assert str(word) in lines[0], f"{called}: no {word!r} in: {lines[0]}"


def kubeconfig(folder, server, **user):
    """A kubeconfig file for that server."""
    path = pathlib.Path(folder) / "kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": user}]}))
    return path


def needed_flags(program, folder):
    """Flags with which the program would start, but for what a test breaks."""
    return url_flags(program.removeprefix("ckaito-"), message_urls("ipc", folder))


@case(shared=True)
def help_and_version(_):
    """Every program explains every flag and says its version."""
    for program in PROGRAMS:
        status, said, wrong = run(program, "--help")
        assert status == 0 and not wrong and f"usage: {program} " in said, (program, status, said[:200], wrong)
        assert "--health-address" in said and "--log-level" in said, (program, said)
        status, said, wrong = run(program, "--version")
        assert status == 0 and not wrong and re.fullmatch(program + r" \d+\.\d+\.\d+\n", said), (program, said)


@case(shared=True)
def unknown_flag(_):
    """An unknown flag, a bad value and a stray argument are named."""
    for program in PROGRAMS:
        refused(program, "--no-such-flag", words=["--no-such-flag"])
        refused(program, "--log-level=loud", words=["log-level", "loud"])
        refused(program, "stray", words=["stray"])
    refused("ckaito-provisioner", "--rehearsal-delay=soon", words=["rehearsal-delay", "soon"])
    refused("ckaito-provisioner", "--workers=0", words=["workers", "0"])
    refused("ckaito-provisioner", "--driver=horse", words=["driver", "horse", "rehearsal"])
    refused("ckaito-webhook", words=["CKAITO_THREADS", "many"], CKAITO_THREADS="many")


@case(shared=True)
def bad_kubeconfig(_):
    """A kubeconfig that is missing, malformed or incomplete is named."""
    with tempfile.TemporaryDirectory() as folder:
        broken = pathlib.Path(folder) / "broken"
        broken.write_text("clusters: [")
        empty = pathlib.Path(folder) / "empty"
        empty.write_text("apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n")
        for program in ("ckaito-reconciler", "ckaito-provisioner"):
            flags = needed_flags(program, folder)
            refused(program, *flags, "--kubeconfig=/nonexistent/file", words=["/nonexistent/file"])
            refused(program, *flags, f"--kubeconfig={broken}", words=[broken])
            refused(program, *flags, f"--kubeconfig={empty}", words=["nowhere"])


@case(shared=True)
def bad_urls(_):
    """Message URLs that cannot be are refused with the flag's name; plain TCP is one of them."""
    with tempfile.TemporaryDirectory() as folder:
        config = kubeconfig(folder, "https://127.0.0.1:1")
        for url in ("nonsense", "tcp://127.0.0.1:7001", "http://127.0.0.1:7001"):
            for program in ("ckaito-reconciler", "ckaito-provisioner"):
                refused(program, *needed_flags(program, folder), f"--kubeconfig={config}", f"--demand-url={url}",
                        "--health-address=", words=["demand-url", url])


@case(shared=True)
def busy_port(_):
    """A port that somebody else has is named."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        config = kubeconfig(folder, "https://127.0.0.1:1")
        for program in PROGRAMS[1:]:
            flags = [] if program == "ckaito-webhook" else [f"--kubeconfig={config}"]
            refused(program, *needed_flags(program, folder), *flags, f"--health-address={address}", words=[address])


@contextlib.contextmanager
def started(name, folder, *flags):
    """One service that is expected to wait."""
    health = free_port()
    command = [build_folder() / f"ckaito-{name}", f"--health-address=127.0.0.1:{health}",
               *needed_flags(name, folder), *flags]
    process = Process(name, command, pathlib.Path(folder) / "log", health)
    process.start()
    try:
        yield process
    finally:
        if process.wanted:
            process.stop(signal.SIGKILL)


def not_ready(process, words):
    """The process runs, and /readyz says why it is not ready."""
    def said():
        status, text = process.probe()
        if status != 503 or not all(word in text for word in words):
            raise NotYet(f"{status} {text.strip()}")
        return text
    wait_for(said, 10, f"/readyz of {process.name} says {words}")


def patient(process, seconds=4):
    """Waiting costs no CPU and ends with SIGTERM."""
    before = process.cpu_seconds()
    time.sleep(seconds)
    spent = process.cpu_seconds() - before
    assert process.starts == 1, f"{process.name} died: {process.last_words()}"
    assert spent < 0.05 * seconds, f"{process.name} used {spent:.2f} s of CPU in {seconds} s"
    status = process.stop(signal.SIGTERM)
    assert status == 0, f"{process.name} ended with status {status}: {process.last_words()}"


@case(shared=True)
def unreachable_apiserver(_):
    """Nobody listens there: the services wait without a busy loop, and /readyz names the server."""
    for name in ("reconciler", "provisioner"):
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            config = kubeconfig(folder, f"https://127.0.0.1:{port}", token="x")
            with started(name, folder, f"--kubeconfig={config}") as process:
                not_ready(process, [str(port)])
                patient(process)


@case(shared=True)
def wrong_credentials(world):
    """A token that the API server does not know: /readyz says so."""
    for name in ("reconciler", "provisioner"):
        with tempfile.TemporaryDirectory() as folder:
            config = kubeconfig(folder, f"https://127.0.0.1:{world.cluster.port}", token="wrong")
            text = json.loads(config.read_text())
            text["clusters"][0]["cluster"]["certificate-authority"] = str(world.cluster.dir / "pki" / "ca.crt")
            config.write_text(json.dumps(text))
            with started(name, folder, f"--kubeconfig={config}") as process:
                not_ready(process, ["nauthorized"])
                patient(process)


@case(shared=True)
def unreadable_certificate(_):
    """No certificate yet, or a broken one: the webhook waits and /readyz names the file or folder."""
    with tempfile.TemporaryDirectory() as folder:
        tls = pathlib.Path(folder) / "tls"
        tls.mkdir()
        with started("webhook", folder, f"--listen=127.0.0.1:{free_port()}", f"--tls-dir={tls}") as process:
            not_ready(process, [str(tls)])
            (tls / "tls.crt").write_text("no certificate")
            (tls / "tls.key").write_text("no key")
            not_ready(process, [str(tls)])
            patient(process)


@case(shared=True)
def missing_bus_certificate(_):
    """tls+tcp without a certificate: nothing goes out in the clear, and /readyz names the folder."""
    with tempfile.TemporaryDirectory() as folder:
        config = kubeconfig(folder, f"https://127.0.0.1:{free_port()}", token="x")
        bus = pathlib.Path(folder) / "bus"
        with started("provisioner", folder, f"--kubeconfig={config}", f"--bus-tls-dir={bus}",
                     f"--demand-url=tls+tcp://127.0.0.1:{free_port()}") as process:
            not_ready(process, [str(bus)])
            patient(process, 2)
