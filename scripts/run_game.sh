#!/bin/sh
# The game of examples/game, against the library in a build folder, without anybody at the keys.
#
#   scripts/run_game.sh test FOLDER PLACE    the binding, the rules, 50 kills, a screenshot, the share of a frame
#   scripts/run_game.sh bench FOLDER PLACE   that share over 100,000 frames; fails where p99.9 is above 1 ms
#
# PLACE is made anew: stores, the screenshot and the times stay there. SARSEN_GAME_SEED replays a run's kills.
set -eu
cd "$(dirname "$0")/.."

what=$1
library=$(cd "$2" && pwd)/libsarsen.so
for tool in love luajit xvfb-run; do
    if ! command -v $tool >/dev/null 2>&1; then
        echo "skipped: the game, since $tool is missing. To install: apt-get install -y love luajit xvfb xauth"
        exit 77
    fi
done
rm -rf "$3"
mkdir -p "$3"
place=$(cd "$3" && pwd)
game=$PWD/examples/game
export LUA_PATH="$game/?.lua;$game/tests/?.lua"

share_of_frames() {
    love "$game" --bot 9 --seed 9 --libsarsen "$library" --save "$place/share" --frames "$1" --times "$place/times.txt"
    luajit "$game/tests/share.lua" "$place/times.txt" "$1" ${2:-}
}

if [ "$what" = bench ]; then
    share_of_frames 100000 1000
    exit
fi

echo "---- sarsen.lua"
mkdir "$place/binding" "$place/replay" "$place/kills"
luajit "$game/tests/binding.lua" "$library" include/sarsen.h c_tests/layout.txt "$place/binding"
echo "---- the code of examples/game/README.md"
awk '/^```lua$/ { inside = 1; next } /^```$/ { inside = 0 } inside' examples/game/README.md >"$place/readme.lua"
remembered=$(cd "$place" && SARSEN_LIBRARY=$library luajit readme.lua)
echo "$remembered"
test "$remembered" = "Mara remembers 1: on a hill, at dusk"
echo "---- the rules and the history"
luajit "$game/tests/replay.lua" "$library" "$place/replay"
echo "---- killed and started again"
seed=${SARSEN_GAME_SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
echo "SARSEN_GAME_SEED=$seed"
xvfb-run -a luajit "$game/tests/kill.lua" "$game" "$library" "$place/kills" 50 "$seed" window
echo "---- a screenshot"
xvfb-run -a love "$game" --bot 9 --seed 9 --libsarsen "$library" --save "$place/shot" --frames 2000 \
    --screenshot "$place/shot.png"
love "$game/tests/picture" "$place/shot.png" 960 540
echo "---- the store's share of a frame"
share_of_frames 20000
