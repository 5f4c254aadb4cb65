"""Build MinkowskiEngine 0.5.4 from its published source and install it beside the torch that runs this script.

    make minkowski                                        # the published CPU loops
    make minkowski PARALLEL=1                             # CPU loops on all cores; it replaces the other
    python third_party/minkowski/build.py --no-install    # into the cache alone

Run it with the python that has torch. The wheel is kept outside the tree, so that the next virtual environment with the
same torch and python gets it in seconds; both variants can lie there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from edits import EDITS, EditError, apply_edits
from edits_parallel import PARALLEL_EDITS

VERSION = "0.5.4"
SDIST_SHA256 = "b1879c00d0b0b1d30ba622cce239886a7e3c78ee9da1064cdfe2f64c2ab15f94"
# Options reach the old setup.py only through pip's --config-settings; these releases are known to pass them on.
BUILD_TOOLS = ("pip==26.3", "setuptools==84.2.1", "ninja==1.13.0")
GIB = 1 << 30
UNIT_MEMORY = int(1.7 * GIB)  # the largest compile unit takes 1.6 GB
HERE = Path(__file__).resolve().parent
_NO_COMPILER = "no C++ compiler: apt-get install g++ (or set CXX)"
_NO_BLAS = """\
cannot compile and link against OpenBLAS: apt-get install libopenblas-dev, or conda install openblas and
set CPATH and LIBRARY_PATH to its include and lib folders"""
_NO_NVCC = """\
torch is built for CUDA {cuda}, so the CUDA compiler of the same release is needed and there is no nvcc: install the
CUDA toolkit {cuda} and set CUDA_HOME, or install a CPU build of torch"""
_NO_MEMORY = "not enough memory: a compile unit takes 1.6 GB and {free:.1f} GB are free; close programs or add swap"
_KILLED = "the compiler was killed, most likely for memory: MAX_JOBS=1 make minkowski"
_PARALLEL_CUDA = """\
--parallel is for a CPU build of torch: torch here is built for CUDA {cuda}, and then nvcc compiles the CPU loops too,
without OpenMP, so that they would stay on one core; leave --parallel out"""
_CPU_TIME = "5 min on 2 cores, 9 on one"
_CUDA_TIME = "nobody has timed it; turning its 18 CUDA units into PTX alone took 4 to 114 s each"


class BuildError(Exception):
    """The build cannot go on; the message tells the remedy."""


def _run(command: Sequence[str | Path], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, text=True, capture_output=True, check=False, env=env)


def cached_wheel(torch_version: str, parallel: bool = False) -> Path:
    """Folder of the wheel for this variant, torch, python, platform, and state of this script and its edits."""
    names = ["build.py", "edits.py", *(["edits_parallel.py"] if parallel else [])]
    script = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in names)).hexdigest()
    variant = f"minkowski-{VERSION}{'-parallel' if parallel else ''}"
    tag = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sparse_s4r" / "wheels" / f"{variant}-torch-{torch_version}-{tag}-{script[:12]}"


def free_memory() -> int:
    """Bytes that a compiler may take: free memory and swap; a large number where the system does not tell."""
    try:
        fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), flags=re.MULTILINE))
        return (int(fields["MemAvailable"]) + int(fields["SwapFree"])) * 1024
    except (OSError, KeyError):
        return 1 << 60


def check_machine(cuda: str | None, has_nvcc: bool) -> int:
    """Number of compile jobs.

    Raises:
        BuildError: A compiler, OpenBLAS or memory is missing.
    """
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        raise BuildError(_NO_COMPILER)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "blas.cpp"
        program.write_text(
            "#include <cblas.h>\nint main() { double x = 0; return (int)cblas_ddot(1, &x, 1, &x, 1); }\n"
        )
        result = _run([compiler, program, "-lopenblas", "-o", program.with_suffix("")])
        if result.returncode != 0:
            raise BuildError(f"{result.stderr.strip()}\n{_NO_BLAS}")
    if cuda and not has_nvcc:
        raise BuildError(_NO_NVCC.format(cuda=cuda))
    free = free_memory()
    if free < UNIT_MEMORY:
        raise BuildError(_NO_MEMORY.format(free=free / GIB))
    if "MAX_JOBS" in os.environ:
        return int(os.environ["MAX_JOBS"])
    return max(1, min(len(os.sched_getaffinity(0)), free // UNIT_MEMORY))


def make_build_venv(folder: Path) -> Path:
    """Python of a virtual environment with the pinned build tools that also sees the packages of this one."""
    python = folder / "bin" / "python"
    make: list[str | Path] = [sys.executable, "-m", "venv", folder]
    fill: list[str | Path] = [python, "-m", "pip", "install", "-qq", *BUILD_TOOLS]
    for command in (make, fill):
        result = _run(command)
        if result.returncode != 0:
            raise BuildError(f"{result.stderr}\ncould not install the build tools; is there a network?")
    site = _run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).stdout.strip()
    # After its own packages: torch and numpy come from outside, pip and setuptools from inside.
    (Path(site) / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def download(python: Path, folder: Path, options: list[str]) -> Path:
    """Unpacked published source."""
    settings = " ".join(f'--config-settings="--global-option={option}"' for option in options)
    requirement = folder / "requirement.txt"
    requirement.write_text(f"MinkowskiEngine=={VERSION} {settings} --hash=sha256:{SDIST_SHA256}\n")
    flags: list[str | Path] = [
        "--no-deps",
        "--no-binary",
        ":all:",
        "--no-build-isolation",
        "--dest",
        folder,
        "-r",
        requirement,
    ]
    result = _run([python, "-m", "pip", "download", "-q", *flags], env=_environment(python))
    if result.returncode != 0:
        raise BuildError(f"{result.stdout[-3000:]}{result.stderr[-3000:]}\ncould not download the source; see above")
    shutil.unpack_archive(folder / f"MinkowskiEngine-{VERSION}.tar.gz", folder)
    return folder / f"MinkowskiEngine-{VERSION}"


def compile_wheel(python: Path, source: Path, options: list[str], jobs: int, log: Path) -> Path:
    """Wheel built from ``source``, in its parent folder; the compiler's output goes to ``log``."""
    settings = [part for option in options for part in ("--config-settings", f"--global-option={option}")]
    flags: list[str | Path] = ["--no-deps", "--no-build-isolation", "--verbose", "--wheel-dir", source.parent]
    # -g0: with debugging symbols the wheel has 28 MB, without 0.5.
    environment = {**_environment(python), "MAX_JOBS": str(jobs), "CFLAGS": "-g0", "CXXFLAGS": "-g0"}
    with log.open("w") as output, _Heartbeat():
        command: list[str | Path] = [python, "-m", "pip", "wheel", *flags, *settings, source]
        code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    if code != 0:
        text = log.read_text(errors="replace")
        remedy = _KILLED if re.search(r"Killed|signal 9|terminated program cc1plus", text) else "see the log"
        errors = [line for line in text.splitlines() if "error" in line.lower()][:10]
        raise BuildError("\n".join([*errors, f"compilation failed: {remedy}; the whole log: {log}"]))
    return next(source.parent.glob("minkowskiengine-*.whl"), None) or next(source.parent.glob("MinkowskiEngine-*.whl"))


def _environment(python: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


class _Heartbeat:
    """Says every minute that the build is alive."""

    def __enter__(self) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        minutes = 0
        while not self._done.wait(60):
            minutes += 1
            print(f"  ... {minutes} min", flush=True)


def build(target: Path, torch_version: str, cuda: str | None, has_nvcc: bool, parallel: bool = False) -> None:
    """Build the wheel into the folder ``target``, which appears when it is whole.

    Raises:
        BuildError: Something is missing, or a step failed.
    """
    if parallel and cuda:
        raise BuildError(_PARALLEL_CUDA.format(cuda=cuda))
    jobs = check_machine(cuda, has_nvcc)
    edits = (*EDITS, *PARALLEL_EDITS) if parallel else EDITS
    reasons = "edits.py and edits_parallel.py give" if parallel else "edits.py gives"
    options = ["--force_cuda" if cuda else "--cpu_only", "--blas=openblas"]
    target.parent.mkdir(parents=True, exist_ok=True)
    log = target.parent / f"{target.name}.log"
    with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as name:
        folder = Path(name)
        print("  downloading the published source and the build tools", flush=True)
        python = make_build_venv(folder / "venv")
        source = download(python, folder, options)
        apply_edits(source, edits)
        kind, duration = (f"CUDA {cuda}", _CUDA_TIME) if cuda else ("the CPU", _CPU_TIME)
        print(f"  made {len(edits)} edits (in third_party/minkowski, {reasons} the reason of each)")
        print(f"  compiling for {kind}, torch {torch_version}, {jobs} at a time: {duration}", flush=True)
        wheel = compile_wheel(python, source, options, jobs, log)
        (folder / "wheel").mkdir()
        wheel.rename(folder / "wheel" / wheel.name)
        (folder / "wheel").rename(target)


def install(target: Path) -> None:
    """Install the wheel of the folder ``target`` and see that it loads."""
    wheel = next(target.glob("*.whl"))
    result = _run([sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--force-reinstall", wheel])
    if result.returncode != 0:
        raise BuildError(f"{result.stderr}\ncould not install {wheel}")
    result = _run([sys.executable, "-c", "import MinkowskiEngine"])
    if result.returncode != 0:
        raise BuildError(
            f"{result.stderr}\nMinkowskiEngine is installed and does not load; where libopenblas.so.0 is missing: "
            f"apt-get install libopenblas0; to build it again: rm -r '{target}'"
        )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--parallel",
        action="store_true",
        help="also make the edits of edits_parallel.py: convolutions and kernel maps on all cores of the CPU, the same "
        "bits in every run; the fair peer in a comparison. Left out: the published loops, as users have them",
    )
    parser.add_argument(
        "--no-install",
        action="store_true",
        help="leave the environment as it is: build into the cache if needed, and print the wheel's path as the last "
        "line; unpacked into a folder of its own, it is imported through PYTHONPATH",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Install MinkowskiEngine, or only build it, from the cache or from source."""
    arguments = parse()
    try:
        import torch
        from torch.utils.cpp_extension import CUDA_HOME
    except ImportError:
        sys.exit("MinkowskiEngine: torch is not installed here; run make install first")
    name = f"MinkowskiEngine {VERSION} with {'parallel' if arguments.parallel else 'the published'} CPU loops"
    started = time.monotonic()
    target = cached_wheel(torch.__version__, arguments.parallel)
    try:
        if target.exists():
            print(f"{name}: using the wheel in {target}")
        else:
            print(f"{name}: building it from source, once for this torch and python", flush=True)
            build(target, torch.__version__, torch.version.cuda, CUDA_HOME is not None, arguments.parallel)
        if arguments.no_install:
            print(f"{name}: nothing was installed; the wheel:\n{next(target.glob('*.whl'))}")
            return
        install(target)
    except (BuildError, EditError) as error:
        sys.exit(f"\n{name} was not {'built' if arguments.no_install else 'installed'}: {error}")
    print(f"{name} is installed in {sys.prefix}, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
