// Latencies in the manner of an HDR histogram: 64 buckets to each doubling, so that what it tells is within 1.6 % of
// what was recorded, from one nanosecond to hours, in a fixed 29 KiB. One thread at a time; merge afterwards.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace bench {

inline uint64_t now_ns() {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::steady_clock::now().time_since_epoch())
                                     .count());
}

class Histogram {
  public:
    void record(uint64_t nanoseconds) {
        ++buckets_[bucket(nanoseconds)];
        ++count_;
        max_ = std::max(max_, nanoseconds);
    }

    void merge(const Histogram &other) {
        for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
        count_ += other.count_;
        max_ = std::max(max_, other.max_);
    }

    uint64_t count() const { return count_; }
    uint64_t max() const { return max_; }

    // The latency that `share` (0 to 1) of all were at most.
    uint64_t at(double share) const {
        const double share_of_all = std::ceil(share * static_cast<double>(count_));
        const auto wanted = std::max<uint64_t>(1, static_cast<uint64_t>(share_of_all));
        uint64_t seen = 0;
        for (size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen >= wanted) return std::min(highest(i), max_);
        }
        return max_;
    }

  private:
    static constexpr unsigned bits = 6;
    static constexpr uint64_t half = uint64_t{1} << bits;

    static size_t bucket(uint64_t value) {
        if (value < 2 * half) return static_cast<size_t>(value);
        const unsigned shift = 63u - static_cast<unsigned>(__builtin_clzll(value)) - bits;
        return static_cast<size_t>(half * (shift + 1) + ((value >> shift) - half));
    }

    static uint64_t highest(size_t bucket) {
        if (bucket < 2 * half) return bucket;
        const unsigned shift = static_cast<unsigned>(bucket / half) - 1;
        return ((bucket % half + half + 1) << shift) - 1;
    }

    std::array<uint64_t, half *(64 - bits + 1)> buckets_{};
    uint64_t count_ = 0, max_ = 0;
};

} // namespace bench
