#!/usr/bin/env python3
"""Packs what cross/build.sh built: .ipk for opkg (OpenWrt 24.10), and .apk for apk-tools 3 (25.12).

What goes into an .apk is laid out in apk/ARCHITECTURE/NAME; NAME.sh beside it packs that, and is run where apk-tools 3 is installed.

Which files go where, their modes, dependencies, descriptions: all of it is read from the feed's Makefiles (openwrt/*/Makefile),
so in that these packages and the SDK's agree. The programs are others: these are static and have the flags of cross/build.sh, the
SDK's are linked to the router's libc and depend on it. And of LuCI's scripts and styles the SDK takes away comments and blanks. The
bytes depend on the files and SOURCE_DATE_EPOCH (or the last commit's time) only.
"""

import argparse
import gzip
import hashlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CROSS = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "cross"

# A router takes packages of its own architecture's name only. What OpenWrt calls those that one of our programs runs on; of
# ARM, those with floating point in hardware.
ARCHITECTURES = {
    "mips_24kc": ["mips_24kc", "mips_4kec"],
    "mipsel_24kc": ["mipsel_24kc", "mipsel_24kc_24kf", "mipsel_74kc"],
    "arm_cortex-a7": [
        "arm_cortex-a5_vfpv4", "arm_cortex-a7_neon-vfpv4", "arm_cortex-a7_vfpv4", "arm_cortex-a8_vfpv3", "arm_cortex-a9_neon",
        "arm_cortex-a9_vfpv3-d16", "arm_cortex-a15_neon-vfpv4",
    ],
    "aarch64_generic": ["aarch64_generic", "aarch64_cortex-a53", "aarch64_cortex-a72", "aarch64_cortex-a76"],
    "x86_64": ["x86_64"],
}

# What OpenWrt's build puts into every package: files under /etc/uci-defaults run, init scripts are switched on and started;
# at removal they are stopped and switched off.
SCRIPT = "#!/bin/sh\n"
SKIP = '[ "${IPKG_NO_SCRIPT}" = "1" ] && exit 0\n'
FUNCTIONS = '[ -s ${IPKG_INSTROOT}/lib/functions.sh ] || exit 0\n. ${IPKG_INSTROOT}/lib/functions.sh\n'
# rpcd reads access rules when it starts, and LuCI keeps an index of its pages.
LUCI_POSTINST = """[ -n "${IPKG_INSTROOT}" ] || {
\trm -f /tmp/luci-indexcache.*
\trm -rf /tmp/luci-modulecache/
\t/etc/init.d/rpcd reload 2>/dev/null
\texit 0
}
"""

MODES = {"BIN": 0o755, "CONF": 0o600, "DATA": 0o644}


class Package:
    """What a feed's Makefile says of a package. `files`: path on the router to (source, mode)."""

    def __init__(self, name, version, info, depends, description):
        self.name, self.version, self.info = name, version, info
        self.depends, self.description = depends, description
        self.conffiles, self.files, self.postinst, self.all = [], {}, "", False

    def missing(self):
        return [str(source) for source, _ in self.files.values() if not source.is_file()]


class Makefile:
    """The variables and the `define`s of a Makefile, as they stand."""

    def __init__(self, path):
        self.folder, self.variables, self.defines, name = path.parent, {}, {}, None
        for line in path.read_text().splitlines():
            if name is not None:
                if line == "endef":
                    name = None
                else:
                    self.defines[name].append(line)
            elif found := re.fullmatch(r"define (\S+)", line):
                name = found[1]
                self.defines[name] = []
            elif found := re.fullmatch(r"(\w+)[:?]?=(.*)", line):
                self.variables[found[1]] = found[2].strip()

    def fields(self, define):
        return dict(line.strip().split(":=", 1) for line in self.defines[define] if ":=" in line)

    def version(self):
        return f"{self.variables['PKG_VERSION']}-r{self.variables.get('PKG_RELEASE', '1')}"

    def info(self, section, title, url):
        get = self.variables.get
        return {
            "license": get("PKG_LICENSE", ""), "maintainer": get("PKG_MAINTAINER", ""), "section": section, "title": title,
            "url": url,
        }


def depends(text):
    """`+name` is a package; `@name` and `$(…)` are the buildroot's own conditions."""
    return [word[1:] for word in text.split() if word.startswith("+")]


def program_packages(makefile, binaries):
    for define in makefile.defines:
        if not (found := re.fullmatch(r"Package/([^/]+)/install", define)):
            continue
        name = found[1]
        fields = makefile.fields(f"Package/{name}")
        description = " ".join(line.strip() for line in makefile.defines.get(f"Package/{name}/description", []))
        info = makefile.info(fields["SECTION"], fields["TITLE"], fields.get("URL", ""))
        package = Package(name, makefile.version(), info, depends(fields["DEPENDS"]), description)
        package.conffiles = makefile.defines.get(f"Package/{name}/conffiles", [])
        package.postinst = "".join(f"{line}\n" for line in makefile.defines.get(f"Package/{name}/postinst", [])).replace("$$", "$")
        for line in makefile.defines[define]:
            if re.fullmatch(r"\t\$\(INSTALL_DIR\) \$\(1\)/\S+", line):
                continue
            step = re.fullmatch(r"\t\$\(INSTALL_(BIN|CONF|DATA)\) (\S+) \$\(1\)(/\S+[^/])", line)
            if not step:
                sys.exit(f"package.py: {makefile.folder}/Makefile: not understood: {line.strip()}")
            source = step[2].replace("$(PKG_INSTALL_DIR)/bin", str(binaries)).replace("$(PKG_BUILD_DIR)", str(ROOT))
            package.files[step[3]] = (Path(source), MODES[step[1]])
        yield package


def luci_package(makefile, version):
    """As luci.mk has it: htdocs is /www, root is /."""
    get = makefile.variables.get
    title = get("LUCI_TITLE", makefile.folder.name)
    needs = depends(get("LUCI_DEPENDS", "")) or ["luci-base"]
    version = makefile.version() if get("PKG_VERSION") else version
    info = makefile.info("luci", title, get("LUCI_URL", ""))
    package = Package(makefile.folder.name, version, info, needs, get("LUCI_DESCRIPTION", title))
    package.all, package.postinst = True, LUCI_POSTINST
    for folder, target in [("htdocs", "/www"), ("root", "")]:
        for source in sorted((makefile.folder / folder).rglob("*")):
            if source.is_file():
                path = f"{target}/{source.relative_to(makefile.folder / folder)}"
                package.files[path] = (source, 0o755 if os.access(source, os.X_OK) else 0o644)
    return package


def stage(package, folder, apk, epoch):
    """Lays the package out in `folder`. Of what a system upgrade is to keep, keep.d lists files that come with no package."""
    shutil.rmtree(folder, ignore_errors=True)
    files = {path: (source.read_bytes(), mode) for path, (source, mode) in package.files.items()}
    shipped = [path for path in package.conffiles if path in files]
    kept = [path for path in package.conffiles if path not in files]
    if kept:
        files[f"/lib/upgrade/keep.d/{package.name}"] = ("".join(f"{path}\n" for path in kept).encode(), 0o644)
    if apk:
        about = f"/lib/apk/packages/{package.name}"
        files[f"{about}.list"] = ("".join(f"{path}\n" for path in sorted(files)).encode(), 0o644)
        if package.conffiles:
            sums = [f"{path} {hashlib.sha256(files[path][0]).hexdigest()}\n" for path in shipped]
            files[f"{about}.conffiles"] = ("".join(f"{path}\n" for path in package.conffiles).encode(), 0o644)
            files[f"{about}.conffiles_static"] = ("".join(sums).encode(), 0o644)
    for path, (content, mode) in files.items():
        file = folder / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
    for each in [folder, *folder.rglob("*")]:
        if each.is_dir():
            each.chmod(0o755)
        os.utime(each, (epoch, epoch))
    return shipped


def archive(entries, epoch):
    """A gzipped tar as opkg reads it: GNU's format, sorted by the caller, owned by root. Of (name, content or None, mode)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content, mode in entries:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime = mode, epoch
            if content is None:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), 9, mtime=0)


def tree(folder):
    yield "./", None, 0o755
    for path in sorted(folder.rglob("*")):
        name = f"./{path.relative_to(folder)}"
        yield (f"{name}/", None, 0o755) if path.is_dir() else (name, path.read_bytes(), path.stat().st_mode & 0o777)


def ipk(package, architecture, folder, output, epoch):
    shipped = stage(package, folder, False, epoch)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    fields = {
        "Package": package.name, "Version": package.version, "Depends": ", ".join(package.depends),
        "Source": f"openwrt/{package.name}", "License": package.info["license"], "Section": package.info["section"],
        "URL": package.info["url"], "Maintainer": package.info["maintainer"], "Architecture": architecture,
        "Installed-Size": str(size),
        "Description": package.description,
    }
    control = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    parts = [("./", None, 0o755)]
    # The SDK drops from this list what does not come with the package; opkg would have no sum of it, and complain.
    if shipped:
        parts.append(("./conffiles", "".join(f"{path}\n" for path in shipped).encode(), 0o644))
    parts.append(("./control", control.encode(), 0o644))
    parts.append(("./postinst", f"{SCRIPT}{SKIP}{FUNCTIONS}default_postinst $0 $@\n".encode(), 0o755))
    if package.postinst:
        # default_postinst runs it.
        parts.append(("./postinst-pkg", package.postinst.encode(), 0o755))
    parts.append(("./prerm", f"{SCRIPT}{FUNCTIONS}default_prerm $0 $@\n".encode(), 0o755))
    file = output / f"{package.name}_{package.version}_{architecture}.ipk"
    file.write_bytes(archive([
        ("./debian-binary", b"2.0\n", 0o644), ("./control.tar.gz", archive(parts, epoch), 0o644),
        ("./data.tar.gz", archive(tree(folder), epoch), 0o644),
    ], epoch))
    return file


def apk(package, architecture, output, epoch):
    """Lays out what goes into an .apk, with the scripts and the call that packs it beside it. The call's order is OpenWrt's."""
    place = output / "apk" / architecture
    stage(package, place / package.name, True, epoch)
    about = f'{FUNCTIONS}export root="${{IPKG_INSTROOT}}"\nexport pkgname="{package.name}"\n'
    install = f"{SKIP}{about}add_group_and_user\ndefault_postinst\n{package.postinst}"
    scripts = {
        "post-install": SCRIPT + install,
        "post-upgrade": f"{SCRIPT}export PKG_UPGRADE=1\n{install}",
        "pre-deinstall": f"{SCRIPT}{about}default_prerm\n",
    }
    info = {
        "name": package.name, "version": package.version, "description": package.description,
        "arch": "noarch" if package.all else architecture, "license": package.info["license"], "origin": f"openwrt/{package.name}",
        "url": package.info["url"], "maintainer": package.info["maintainer"],
    }
    words = [["--info", f"{name}:{value}"] for name, value in info.items() if value]
    for name, text in scripts.items():
        script = place / f"{package.name}.{name}"
        script.write_text(text)
        words.append(["--script", f"{name}:{script.name}"])
    words.append(["--info", f"depends:{' '.join(package.depends)}"])
    words.append(["--files", package.name])
    words.append(["--output", f"../../{architecture}/{package.name}-{package.version}.apk"])
    call = place / f"{package.name}.sh"
    call.write_text(
        f"{SCRIPT}# As root, or under fakeroot: the files' owners become those on the router.\n"
        f'cd "$(dirname "$0")" || exit\nexport SOURCE_DATE_EPOCH={epoch}\n'
        f"exec apk mkpkg \\\n\t" + " \\\n\t".join(shlex.join(each) for each in words) + "\n"
    )
    call.chmod(0o755)
    return call


def has_apk():
    """Version 2 of apk-tools cannot make these, and has no mkpkg. Owners are taken from the files: they must be root's."""
    if not shutil.which("apk"):
        return "apk-tools 3 is not installed"
    if subprocess.run(["apk", "mkpkg", "--help"], capture_output=True).returncode > 1:
        return "this apk is not apk-tools 3"
    return None if os.geteuid() == 0 else "as root only, or under fakeroot"


def commit_time():
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    said = subprocess.run(command, capture_output=True, text=True)
    return said.stdout.strip() or "0"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(ARCHITECTURES)}; all that are built")
    parser.add_argument("--binaries", type=Path, default=CROSS, help="has a folder with programs for each target")
    parser.add_argument("--output", type=Path, default=CROSS / "packages")
    options = parser.parse_args()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or commit_time())
    if unknown := [target for target in options.targets if target not in ARCHITECTURES]:
        parser.error(f"no such target: {' '.join(unknown)}")
    targets = [target for target in options.targets or ARCHITECTURES if (options.binaries / target / "cheaproute").is_file()]
    if not targets:
        sys.exit(f"package.py: nothing is built in {options.binaries}: run cross/build.sh first")
    if without_apk := has_apk():
        print(f"package.py: no .apk files: {without_apk}; what goes into them, and how: {options.output}/apk", file=sys.stderr)

    program = Makefile(ROOT / "openwrt/cheaproute/Makefile")
    work = options.output / ".work"
    print(f"{'ARCHITECTURE':<26} {'PACKAGE':<22} {'BYTES':>9}")

    def pack(package, architecture):
        output = options.output / architecture
        output.mkdir(parents=True, exist_ok=True)
        file = ipk(package, architecture, work / package.name, output, epoch)
        print(f"{architecture:<26} {package.name:<22} {file.stat().st_size:>9}")
        call = apk(package, architecture, options.output, epoch)
        if not without_apk:
            subprocess.run([call], check=True)

    # Our own folder holds this run's packages only; of another one we touch nothing else.
    if options.output == CROSS / "packages":
        shutil.rmtree(options.output, ignore_errors=True)
    for target in targets:
        for package in program_packages(program, options.binaries / target):
            if not package.missing():
                for architecture in ARCHITECTURES[target]:
                    pack(package, architecture)
            elif package.name == "cheaproute":
                sys.exit(f"package.py: missing: {' '.join(package.missing())}")
    for makefile in sorted((ROOT / "openwrt").glob("luci-app-*/Makefile")):
        pack(luci_package(Makefile(makefile), program.version()), "all")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
