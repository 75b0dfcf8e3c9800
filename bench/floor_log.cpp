#include "floor_log.h"

#include <cstdlib>
#include <memory>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace bench {

#if defined(__x86_64__)
// Three streams at once, since the instruction takes three cycles and a new one can start in each. The streams' sums
// are not put together into one CRC: it is the time that counts here.
__attribute__((target("sse4.2"))) uint32_t crc32c(const uint8_t *data, size_t size) {
    uint64_t a = ~0u, b = 0, c = 0;
    const size_t third = size / 24 * 8;
    for (size_t at = 0; at < third; at += 8) {
        uint64_t word[3];
        std::memcpy(&word[0], data + at, 8);
        std::memcpy(&word[1], data + third + at, 8);
        std::memcpy(&word[2], data + 2 * third + at, 8);
        a = _mm_crc32_u64(a, word[0]), b = _mm_crc32_u64(b, word[1]), c = _mm_crc32_u64(c, word[2]);
    }
    size_t at = 3 * third;
    for (; at + 8 <= size; at += 8) {
        uint64_t word;
        std::memcpy(&word, data + at, 8);
        a = _mm_crc32_u64(a, word);
    }
    for (; at < size; ++at) a = _mm_crc32_u8(static_cast<uint32_t>(a), data[at]);
    return static_cast<uint32_t>(a ^ b ^ c);
}
#else
uint32_t crc32c(const uint8_t *data, size_t size) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; ++i) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}
#endif

namespace {

struct Free {
    void operator()(uint8_t *memory) const { std::free(memory); }
};

// Room of this thread, aligned for O_DIRECT.
uint8_t *room(size_t size) {
    static thread_local std::unique_ptr<uint8_t, Free> memory;
    static thread_local size_t has = 0;
    if (has < size) {
        has = (size + 4095) & ~size_t{4095};
        memory.reset(static_cast<uint8_t *>(std::aligned_alloc(4096, has)));
        if (memory == nullptr) throw Failure("floor: no memory");
        std::memset(memory.get(), 0, has);
    }
    return memory.get();
}

} // namespace

FloorLog::FloorLog(const std::string &path, uint64_t size, How how) : how_(how) {
    if (how == How::map || how == How::map_crc)
        file_.prewrite(path, size);
    else
        file_.prewrite_only(path, size, how == How::direct ? O_DIRECT | O_DSYNC : 0);
}

uint64_t FloorLog::reserve(uint64_t bytes) {
    const uint64_t place = end_.fetch_add(bytes, std::memory_order_relaxed);
    if (place + bytes > file_.size()) throw Failure("floor: the file is full");
    return place;
}

uint64_t FloorLog::write(const Bytes *parts, size_t count, unsigned times) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; ++i) total += parts[i].size;
    const uint64_t all = total * times;
    const uint64_t reserved = how_ == How::direct ? (all + 4095) & ~uint64_t{4095} : all;
    const uint64_t place = reserve(reserved);
    const bool gathers = !(how_ == How::map || how_ == How::map_crc) && (count > 1 || times > 1 || how_ == How::direct);
    uint8_t *to = gathers ? room(reserved) : file_.data() != nullptr ? file_.data() + place : nullptr;
    if (gathers || how_ == How::map || how_ == How::map_crc) {
        for (unsigned time = 0; time < times; ++time) {
            for (size_t i = 0; i < count; ++i) {
                std::memcpy(to, parts[i].data, parts[i].size);
                to += parts[i].size;
            }
        }
        to -= all;
    }
    if (how_ == How::map_crc) checksum_.fetch_add(crc32c(to, all), std::memory_order_relaxed);
    if (how_ == How::map || how_ == How::map_crc) return place;
    const void *from = gathers ? to : parts[0].data;
    must(pwrite(file_.fd(), from, reserved, static_cast<off_t>(place)) == static_cast<ssize_t>(reserved), "pwrite");
    return place;
}

uint64_t FloorLog::append(const Bytes *parts, size_t count) { return append_group(parts, count, 1); }

uint64_t FloorLog::append_group(const Bytes *parts, size_t count, unsigned times) {
    const uint64_t place = write(parts, count, times);
    if (how_ == How::synced) must(fdatasync(file_.fd()) == 0, "fdatasync");
    if (how_ == How::leader) {
        uint64_t mine;
        {
            const std::lock_guard<std::mutex> hold(mutex_);
            mine = ++tickets_;
        }
        lead(mine);
    }
    return place;
}

void FloorLog::lead(uint64_t mine) {
    std::unique_lock<std::mutex> hold(mutex_);
    while (synced_ < mine) {
        if (syncing_) {
            changed_.wait(hold);
            continue;
        }
        syncing_ = true;
        const uint64_t covers = tickets_;
        hold.unlock();
        must(fdatasync(file_.fd()) == 0, "fdatasync");
        hold.lock();
        syncing_ = false;
        synced_ = std::max(synced_, covers);
        changed_.notify_all();
    }
}

void FloorLog::sync() { must(fdatasync(file_.fd()) == 0, "fdatasync"); }

Bytes FloorLog::at(uint64_t place, size_t size, std::vector<uint8_t> &buffer) const {
    if (file_.data() != nullptr) return {file_.data() + place, size};
    const uint64_t from = place & ~uint64_t{4095}, whole = (place - from + size + 4095) & ~uint64_t{4095};
    uint8_t *read = room(whole);
    must(pread(file_.fd(), read, whole, static_cast<off_t>(from)) == static_cast<ssize_t>(whole), "pread");
    buffer.assign(read + (place - from), read + (place - from) + size);
    return {buffer.data(), size};
}

} // namespace bench
