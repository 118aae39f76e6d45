"""Copies what Python and the services need out of a Debian image, and nothing else: ``assemble.py ROOT``.

Runs inside the base image while app/Dockerfile is built. ROOT holds the services' packages already; the interpreter,
its standard library and the shared libraries of both join them, from wherever this base keeps them. There is no
shell, no package manager and no set-uid program in ROOT, because nobody copies one.

The Debian packages that the files come from are listed in /var/lib/dpkg/status.d, where vulnerability scanners look.
"""

import compileall
import os
import py_compile
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

USER = 10001
LEFT_OUT = {
    # folders
    *("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "venv", "pydoc_data", "lib2to3"),
    *("site-packages", "dist-packages"),
    # files: what needs a terminal or a display, and what Debian hooks in
    *("turtle.py", "sitecustomize.py", "EXTERNALLY-MANAGED"),
    # compiled modules, without what follows the first dot
    *("_curses", "_curses_panel", "_dbm", "_gdbm", "_tkinter", "readline", "nis"),
    *("_ctypes_test", "_testbuffer", "_testcapi", "_testclinic", "_testclinic_limited", "_testexternalinspection"),
    *("_testimportmultiple", "_testinternalcapi", "_testlimitedcapi", "_testmultiphase", "_testsinglephase"),
    *("_xxtestfuzz", "xxlimited", "xxlimited_35", "xxsubtype"),
}
LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
LOADED_LATER = ("libgcc_s.so.1",)
"""What no file says that it needs: the C library loads it when a thread ends."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SETTINGS = ("/etc/ld.so.cache", "/etc/debian_version", "/usr/lib/os-release", "/usr/lib/ssl/openssl.cnf")


class Assembly:
    """The new root, and where its files came from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.taken: set[Path] = set()

    def at(self, path: Path | str) -> Path:
        """Return where ``path`` lies in the new root; its folder is there afterwards."""
        there = self.root / str(path).lstrip("/")
        there.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        return there

    def take(self, path: Path) -> Path:
        """Copy a file, and the link that leads to it; return the file itself."""
        real = path.resolve(strict=True)
        if real not in self.taken:
            shutil.copy2(real, self.at(real))
            self.taken.add(real)
        link = path.parent.resolve() / path.name
        if link != real:
            self.taken.add(link)
            self.link(link, real)
        return real

    def link(self, link: Path, target: Path) -> None:
        """Make a link in the new root, unless something is there."""
        there = self.at(link)
        if not there.is_symlink() and not there.exists():
            there.symlink_to(target)


def main(root: Path) -> None:
    """Fill ``root``."""
    assembly = Assembly(root)
    for folder in ("bin", "sbin", "lib", "lib64"):
        top = Path("/") / folder
        if top.is_symlink():
            assembly.link(top, top.readlink())
    compiled = [assembly.take(Path(sys.executable)), *take_standard_library(assembly)]
    assembly.link(Path("/usr/bin/python3"), Path(sys.executable).resolve())
    take_libraries(assembly, [*compiled, *(root / "app").rglob("*.so")])
    for path in (*SETTINGS, CERTIFICATES):
        assembly.take(Path(path))
    assembly.link(Path("/etc/os-release"), Path("/usr/lib/os-release"))
    assembly.link(Path(ssl.get_default_verify_paths().openssl_cafile), CERTIFICATES)
    write_accounts(assembly)
    for folder, mode in (("dev", 0o755), ("proc", 0o755), ("sys", 0o755), ("run", 0o755), ("tmp", 0o1777)):
        (root / folder).mkdir(exist_ok=True)
        (root / folder).chmod(mode)
    list_packages(assembly)
    compile_modules(root)


def take_standard_library(assembly: Assembly) -> list[Path]:
    """Copy the standard library; return its compiled modules."""
    compiled = []
    for folder, folders, files in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and not name.startswith("config-"))
        for name in sorted(files):
            if name in LEFT_OUT or name.split(".")[0] in LEFT_OUT or name.endswith((".a", ".pyc")):
                continue
            path = assembly.take(Path(folder) / name)
            if name.endswith(".so"):
                compiled.append(path)
    return compiled


def take_libraries(assembly: Assembly, programs: list[Path]) -> None:
    """Copy the dynamic loader and every shared library that the programs need, however deep."""
    loader = next(path for path in LOADERS if Path(path).exists())
    assembly.take(Path(loader))
    for name in LOADED_LATER:
        programs = [*programs, assembly.take(next(Path("/usr/lib").glob(f"*/{name}")))]
    for program in programs:
        done = subprocess.run([loader, "--list", program], capture_output=True, text=True, check=False)
        if done.returncode != 0 or "not found" in done.stdout:
            sys.exit(f"{program}: a shared library is missing in this base:\n{done.stdout}{done.stderr}")
        for line in done.stdout.splitlines():
            words = line.split("=>")[-1].split()
            if words[0].startswith("/") and words[0] != loader:
                assembly.take(Path(words[0]))


def write_accounts(assembly: Assembly) -> None:
    """One user, for the programs that ask for a name; the image names it by number."""
    assembly.at("/etc/passwd").write_text(
        f"root:x:0:0:root:/:/nonexistent\nhomeport:x:{USER}:{USER}:homeport:/:/nonexistent\n"
    )
    assembly.at("/etc/group").write_text(f"root:x:0:\nhomeport:x:{USER}:\n")
    assembly.at("/etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


def list_packages(assembly: Assembly) -> None:
    """Keep the entry and the licence of every Debian package that a copied file belongs to."""
    stanzas = dict(installed())
    lists = Path("/var/lib/dpkg/info")
    for package, stanza in stanzas.items():
        listing = next(path for path in (lists / f"{package}.list", *lists.glob(f"{package}:*.list")) if path.exists())
        owned = {Path(line) for line in listing.read_text().splitlines()}
        owned |= {Path(f"/usr{path}") for path in owned}  # packages still name /lib, which is a link to /usr/lib
        # No package lists the one file of certificates: it is put together when they are installed.
        if owned.isdisjoint(assembly.taken) and package != "ca-certificates":
            continue
        assembly.at(f"/var/lib/dpkg/status.d/{package}").write_text(stanza + "\n")
        licence = Path(f"/usr/share/doc/{package}/copyright")
        shutil.copyfile(licence, assembly.at(licence))


def installed() -> Iterator[tuple[str, str]]:
    """Yield each installed package's name and entry."""
    for stanza in Path("/var/lib/dpkg/status").read_text().strip().split("\n\n"):
        name = next(line for line in stanza.splitlines() if line.startswith("Package: ")).removeprefix("Package: ")
        yield name, stanza


def compile_modules(root: Path) -> None:
    """Compile once, here: the image is read-only where it runs."""
    done = compileall.compile_dir(
        root,
        maxlevels=50,
        quiet=1,
        stripdir=str(root),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        sys.exit("some modules do not compile; their names stand above")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
