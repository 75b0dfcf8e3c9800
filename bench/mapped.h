// Files as the floor uses them: mapped, prewritten with zeros (so that the file system has nothing left to do) and
// touched ahead. The simplest thing a store could do, and nothing a store must do.
#pragma once

#include "engine.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace bench {

inline void must(bool good, const std::string &what) {
    if (!good) throw Failure("floor, " + what + ": " + std::strerror(errno));
}

class Mapped {
  public:
    Mapped() = default;
    ~Mapped() { close(); }
    Mapped(const Mapped &) = delete;
    Mapped &operator=(const Mapped &) = delete;

    // A file of `size` bytes, written once with zeros and synced, then mapped and touched. Touching makes every page
    // dirty; a file that is to be synced is opened with `prewrite_only`, `flags` and no map.
    void prewrite(const std::string &path, uint64_t size) {
        prewrite_only(path, size);
        map();
        madvise(data_, size_, MADV_POPULATE_WRITE);
    }

    void prewrite_only(const std::string &path, uint64_t size, int flags = 0) {
        close();
        size_ = (size + 4095) & ~uint64_t{4095};
        fd_ = ::open(path.c_str(), O_RDWR | O_CREAT, 0644);
        must(fd_ >= 0, path);
        const std::vector<uint8_t> zeros(1 << 20);
        for (uint64_t at = 0; at < size_; at += zeros.size()) {
            const size_t piece = std::min<uint64_t>(zeros.size(), size_ - at);
            must(pwrite(fd_, zeros.data(), piece, static_cast<off_t>(at)) == static_cast<ssize_t>(piece), path);
        }
        must(fsync(fd_) == 0, path);
        if (flags == 0) return;
        ::close(fd_);
        fd_ = ::open(path.c_str(), O_RDWR | flags);
        must(fd_ >= 0, path);
    }

    // A file that is there, all of it touched.
    void open(const std::string &path) {
        close();
        fd_ = ::open(path.c_str(), O_RDWR);
        must(fd_ >= 0, path);
        struct stat found;
        must(fstat(fd_, &found) == 0, path);
        size_ = static_cast<uint64_t>(found.st_size);
        map();
        uint64_t sum = 0;
        for (uint64_t at = 0; at < size_; at += 4096) sum += *static_cast<volatile uint8_t *>(data_ + at);
        touched_ = sum;
    }

    void close() {
        if (data_ != nullptr) munmap(data_, size_);
        if (fd_ >= 0) ::close(fd_);
        data_ = nullptr;
        fd_ = -1;
    }

    uint8_t *data() const { return data_; }
    uint64_t size() const { return size_; }
    int fd() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }

  private:
    void map() {
        void *at = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
        must(at != MAP_FAILED, "mmap");
        data_ = static_cast<uint8_t *>(at);
    }

    uint8_t *data_ = nullptr;
    uint64_t size_ = 0, touched_ = 0;
    int fd_ = -1;
};

} // namespace bench
