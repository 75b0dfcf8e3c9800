// The data that every engine is given: keys, values and tags that follow from a number, and a digest over bytes.
//
// Values are slices of one small pool of random bytes, which stays in the processor's cache: making one costs
// nothing, so the engine is what is measured. Nothing in it can be compressed. Pure functions; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace bench {

struct Bytes {
    const uint8_t *data = nullptr;
    size_t size = 0;
};

inline Bytes bytes(const std::string &text) { return {reinterpret_cast<const uint8_t *>(text.data()), text.size()}; }

// A permutation of the 64-bit numbers that looks random (the finishing step of splitmix64).
inline uint64_t mix(uint64_t number) {
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

// A number below `bound`, which is below 2^32, that follows from `number`.
inline uint64_t below(uint64_t number, uint64_t bound) { return ((mix(number) >> 32) * bound) >> 32; }

struct Key {
    std::array<uint8_t, 16> raw;
    Bytes bytes() const { return {raw.data(), raw.size()}; }
};

// Key number `i`: 16 random bytes, no two alike.
inline Key random_key(uint64_t i) {
    Key key;
    const uint64_t first = mix(i ^ 0x5a5a5a5a00000000u), second = mix(first);
    std::memcpy(key.raw.data(), &first, 8);
    std::memcpy(key.raw.data() + 8, &second, 8);
    return key;
}

// Eight bytes that sort as the number does.
inline void put_big_endian(uint8_t *to, uint64_t number) {
    const uint64_t swapped = __builtin_bswap64(number);
    std::memcpy(to, &swapped, 8);
}

// A sum over every byte, fast enough to be no more than reading them.
inline uint64_t digest(Bytes of) {
    uint64_t a = 0, b = 0, c = 0, d = 0;
    const uint8_t *at = of.data;
    size_t left = of.size;
    for (; left >= 32; left -= 32, at += 32) {
        uint64_t word[4];
        std::memcpy(word, at, 32);
        a += word[0], b += word[1], c += word[2], d += word[3];
    }
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        std::memcpy(&word, at, 8);
        a += word;
    }
    if (left != 0) {
        uint64_t word = 0;
        std::memcpy(&word, at, left);
        b += word;
    }
    return a + 3 * b + 5 * c + 7 * d + of.size;
}

// A pair counts by both of its sides, so that a value under the wrong key is noticed.
inline uint64_t digest(Bytes key, Bytes value) { return mix(digest(key)) ^ digest(value); }

class Pool {
  public:
    static constexpr size_t distinct = size_t{1} << 19, longest = size_t{256} << 10;
    Pool();
    // Value number `i` in its version `version`.
    Bytes value(uint64_t i, size_t size, uint64_t version = 0) const {
        return {raw_.data() + (mix(i + (version << 40)) & (distinct - 1)), size};
    }

  private:
    std::vector<uint8_t> raw_;
};

const Pool &pool();

inline std::string stream_name(uint64_t number) {
    char name[16];
    snprintf(name, sizeof name, "stream-%04u", static_cast<unsigned>(number));
    return name;
}

// The three tags of memory `id`: each of the first kind is on one memory in 1,000, then one in 100 and one in 10.
struct Tags {
    std::string text[3];
    explicit Tags(uint64_t id);
};

std::string rare_tag(uint64_t number);

} // namespace bench
