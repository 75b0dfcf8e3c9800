# Sourced by the scripts of long runs: what has to hold before one begins. Where it doesn't, the script ends with 2.

# must_be_number TEXT WHAT
must_be_number() {
    case $1 in
    '' | *[!0-9]*)
        echo "${0##*/}: '$1' is not a number of $2" >&2
        exit 2
        ;;
    esac
}

# must_be_built PROGRAM
must_be_built() {
    if [ ! -x "$1" ]; then
        echo "${0##*/}: $1 is not there; build it first" >&2
        exit 2
    fi
}
