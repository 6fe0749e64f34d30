#!/bin/sh
# Finds Pythons that profkit runs on and that can make a virtual environment.
#
#   pythons.sh [NAME]   prints the path of NAME, or of the first that will do; else one line on what to do, and exit 1
#   pythons.sh --all    prints "VERSION PATH" for each of 3.11, 3.12 and 3.13 that this machine has

version_of() { # "3.12", or nothing if it does not run, cannot make an environment, or has no GIL
    "$1" -c 'import sys, sysconfig, venv, ensurepip
if not sysconfig.get_config_var("Py_GIL_DISABLED"): print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

path_of() { "$1" -c 'import sys; print(sys.executable)'; }

supported() { # is "3.N" 3.11 or newer?
    case "$1" in 3.*) [ "${1#3.}" -ge 11 ] ;; *) return 1 ;; esac
}

explain() { # one line on why $1 will not do
    found=$("$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
    short=${found%.*}
    if [ -z "$found" ]; then
        echo "profkit needs Python 3.11 or newer, and '$1' does not run here; try PYTHON=/path/to/python3" >&2
    elif supported "$short"; then
        echo "'$1' ($found) cannot make a virtual environment or has no GIL; on Debian: apt-get install python3-venv" >&2
    else
        echo "profkit needs Python 3.11 or newer, and '$1' is $found; try PYTHON=python3.12" >&2
    fi
}

first() { # the first of the arguments that will do
    for candidate in "$@"; do
        if supported "$(version_of "$candidate")"; then
            path_of "$candidate"
            return
        fi
    done
    return 1
}

pyenv_roots() { # where pyenv keeps its versions: told by the environment, by itself, by the shim in use
    echo "${PYENV_ROOT:-}"
    pyenv root 2>/dev/null
    command -v python3 | sed -n 's|/shims/python3$||p'
    path_of python3 2>/dev/null | sed -n 's|/versions/.*||p'
    echo "${HOME:-}/.pyenv"
}

of_version() { # a Python of version $1, also under pyenv, where the bare name may not run
    for candidate in python3 "python$1" $(pyenv_roots | sed "s|\$|/versions/$1*/bin/python|"); do
        if [ "$(version_of "$candidate")" = "$1" ]; then
            echo "$1 $(path_of "$candidate")"
            return
        fi
    done
}

if [ "${1:-}" = --all ]; then
    for version in 3.11 3.12 3.13; do of_version "$version"; done
elif [ -n "${1:-}" ]; then
    first "$1" || { explain "$1"; exit 1; }
else
    first python3 python3.13 python3.12 python3.11 || { explain python3; exit 1; }
fi
