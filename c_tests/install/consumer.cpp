// A program of somebody else's, in C++: writes a value, opens the store again and finds it.
#include <cstdio>
#include <sarsen.hpp>

int main(int argc, char **argv) {
    if (argc < 2) return 1;
    sarsen::store::open(argv[1]).kv_set("key", "value");
    sarsen::store store = sarsen::store::open(argv[1]);
    if (store.kv_get("key")->text() != "value") return 2;
    std::printf("%s\n", sarsen::version());
    return 0;
}
