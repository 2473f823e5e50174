"""The programs that the bench brings along: the load generator, and the server that is the floor under the webhook."""
import json
import os
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = {"https_load": ["openssl"], "echo_server": ["libmicrohttpd", "libcjson"]}


def run(*command, timeout=60):
    """What a command prints; its last words are the exception's when it fails."""
    result = subprocess.run([str(word) for word in command], timeout=timeout, capture_output=True, text=True,
                            check=False)
    if result.returncode:
        raise RuntimeError(f"{pathlib.Path(command[0]).name}: {result.stderr.strip()[-600:]}")
    return result.stdout


class Floor:
    """Compiled programs and a certificate, in a folder."""

    def __init__(self, folder):
        self.dir = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, packages in PROGRAMS.items():
            flags = run("pkg-config", "--cflags", "--libs", *packages).split()
            run("gcc", "-std=gnu17", "-O2", "-g", "-Wall", "-Wextra", "-D_GNU_SOURCE", HERE / f"{name}.c", "-o",
                folder / name, *flags)
        self.certificate = folder / "tls.crt"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
            "-subj", "/CN=ckaito-bench", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", folder / "tls.key", "-out", self.certificate)

    def load(self, port, path, seconds):
        """Reviews on 8 keep-alive connections for so long: the load generator's own figures."""
        return json.loads(run(self.dir / "https_load", port, path, self.certificate, HERE / "review.json",
                              '"allowed":true', seconds, timeout=seconds + 30))


class EchoServer:
    """A bare libmicrohttpd that parses a review and allows it. Use as a context manager."""

    def __init__(self, floor, threads=2):
        self.command = [floor.dir / "echo_server", floor.dir, str(threads)]

    def __enter__(self):
        self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.pid, self.port = self.child.pid, int(self.child.stdout.readline())
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()


def cpu_seconds(pid):
    """User and system time that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid, what="VmRSS", file="status"):
    """One line of /proc/PID/status, or of another file of that form."""
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {what} in /proc/{pid}/{file}")


def largest_mappings(pid, count=8):
    """Where the resident memory is: one line for each of the largest files or kinds of memory."""
    resident, name = {}, ""
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            name = os.path.basename(words[5]) if len(words) > 5 else "anonymous"
        elif words[0] in ("Rss:", "Private_Dirty:"):
            rss, dirty = resident.get(name, (0, 0))
            resident[name] = (rss + int(words[1]), dirty) if words[0] == "Rss:" else (rss, dirty + int(words[1]))
    largest = sorted(resident.items(), key=lambda item: -item[1][0])[:count]
    return [f"{rss:7} KiB, {dirty:6} KiB of it private and written: {name}" for name, (rss, dirty) in largest]


def socket_folder():
    """A short path: the address of a Unix socket ends at 107 bytes."""
    return tempfile.TemporaryDirectory(prefix="ckaito-bench-")
