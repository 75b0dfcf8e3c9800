#include "data.h"

namespace bench {

Pool::Pool() : raw_(distinct + longest) {
    for (size_t i = 0; i + 8 <= raw_.size(); i += 8) {
        const uint64_t word = mix(i ^ 0x736172736e00u);
        std::memcpy(raw_.data() + i, &word, 8);
    }
}

const Pool &pool() {
    static const Pool only;
    return only;
}

std::string rare_tag(uint64_t number) { return "topic:" + std::to_string(number); }

Tags::Tags(uint64_t id)
    : text{rare_tag(below(id, 1000)), "place:" + std::to_string(below(id ^ 1, 100)),
           "mood:" + std::to_string(below(id ^ 2, 10))} {}

} // namespace bench
