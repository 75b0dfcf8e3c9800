// The floor for appends: bytes put one after another into a prewritten file, by each way there is to do that, with
// and without a sync. Shared by the writers of one engine.
#pragma once

#include "mapped.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace bench {

enum class How {
    map,        // memcpy into the map
    map_crc,    // the same, and a CRC-32C of what is copied
    written,    // pwrite
    synced,     // pwrite + fdatasync; for many threads: what they would write, then one sync
    direct,     // O_DIRECT | O_DSYNC, whole blocks of 4 KiB
    leader,     // many threads: each writes, one of them syncs for all that wrote meanwhile
};

uint32_t crc32c(const uint8_t *data, size_t size);

class FloorLog {
  public:
    FloorLog(const std::string &path, uint64_t size, How how);
    // One that is there, to be read only.
    explicit FloorLog(const std::string &path) : how_(How::map) { file_.open(path); }
    // Puts the parts together at the end; returns where they are. Any thread.
    uint64_t append(const Bytes *parts, size_t count);
    // The same `times` over, and one sync for all.
    uint64_t append_group(const Bytes *parts, size_t count, unsigned times);
    void sync();
    // Reads back what `append` put; into `buffer` where the file is not mapped.
    Bytes at(uint64_t place, size_t size, std::vector<uint8_t> &buffer) const;
    uint64_t checksum() const { return checksum_; }
    uint64_t end() const { return end_; }
    const uint8_t *data() const { return file_.data(); }

  private:
    uint64_t reserve(uint64_t bytes);
    uint64_t write(const Bytes *parts, size_t count, unsigned times);
    void lead(uint64_t mine);

    Mapped file_;
    How how_;
    std::atomic<uint64_t> end_{0}, checksum_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
    uint64_t tickets_ = 0, synced_ = 0; // commits written, and those known to be durable
    bool syncing_ = false;
};

} // namespace bench
