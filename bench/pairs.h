// Blocks, streams and memories for engines that have ordered pairs only, laid out as a program that uses them would:
//
//   block      u64 writer | u64 number                -> bytes
//   record     name | u64 index                       -> bytes
//   memory     'm' | u64 id -> bytes, and for each tag 't' | tag | 0 | u64 id -> nothing, in one commit
//
// Numbers are big-endian. A store holds one kind at a time, so no more prefixes are needed. Everything here is a
// template over the driver's session, so that its calls are compiled into the loops. A Session has:
//
//   void put(const Change *, size_t count, bool ascending)   one commit; ascending: keys above all that are there
//   bool get(Bytes key, Bytes &value)
//   void walk(Bytes start, F each)                           each(key, value) -> whether to go on
#pragma once

#include "engine.h"

#include <unordered_map>

namespace bench {

inline bool starts_with(Bytes text, Bytes prefix) {
    return text.size >= prefix.size && std::memcmp(text.data, prefix.data, prefix.size) == 0;
}

// A key put together in place.
class KeyText {
  public:
    KeyText &add(Bytes part) {
        std::memcpy(raw_ + size_, part.data, part.size);
        size_ += part.size;
        return *this;
    }
    KeyText &add(uint64_t number) {
        put_big_endian(raw_ + size_, number);
        size_ += 8;
        return *this;
    }
    KeyText &letter(char one) {
        raw_[size_++] = static_cast<uint8_t>(one);
        return *this;
    }
    Bytes bytes() const { return {raw_, size_}; }

  private:
    uint8_t raw_[128];
    size_t size_ = 0;
};

template <class Session> class PairWriter : public Writer {
  public:
    PairWriter(std::unique_ptr<Session> session, unsigned number, bool alone)
        : session_(std::move(session)), number_(number), alone_(alone) {}

    void block(Bytes data) override {
        KeyText key;
        const Change change{key.add(number_).add(blocks_++).bytes(), data};
        session_->put(&change, 1, alone_);
    }
    void set(Bytes key, Bytes value) override {
        const Change change{key, value};
        session_->put(&change, 1, false);
    }
    void stream(Bytes name, Bytes record) override {
        KeyText key;
        const Change change{key.add(name).add(next_index(name)).bytes(), record};
        session_->put(&change, 1, alone_);
    }
    void memory(uint64_t id, const Tags &tags, Bytes data) override { memories_with(&id, &tags, &data, 1); }
    void memories(const uint64_t *ids, const Bytes *data, size_t count) override {
        std::vector<Tags> tags;
        tags.reserve(count);
        for (size_t i = 0; i < count; ++i) tags.emplace_back(ids[i]);
        memories_with(ids, tags.data(), data, count);
    }
    void apply(const Change *changes, size_t count) override { session_->put(changes, count, false); }
    void append(const Record *records, size_t count) override {
        keys_.resize(count);
        changes_.resize(count);
        for (size_t i = 0; i < count; ++i) {
            keys_[i] = KeyText();
            changes_[i].key = keys_[i].add(records[i].stream).add(next_index(records[i].stream)).bytes();
            changes_[i].value = records[i].data;
        }
        session_->put(changes_.data(), count, false);
    }

  private:
    void memories_with(const uint64_t *ids, const Tags *tags, const Bytes *data, size_t count) {
        keys_.resize(count * 4);
        changes_.resize(count * 4);
        for (size_t i = 0; i < count; ++i) {
            const size_t at = i * 4;
            keys_[at] = KeyText();
            changes_[at] = {keys_[at].letter('m').add(ids[i]).bytes(), data[i]};
            for (size_t tag = 0; tag < 3; ++tag) {
                KeyText &key = keys_[at + 1 + tag] = KeyText();
                changes_[at + 1 + tag] = {
                    key.letter('t').add(bytes(tags[i].text[tag])).letter('\0').add(ids[i]).bytes(), Bytes{}};
            }
        }
        session_->put(changes_.data(), count * 4, false);
    }

    uint64_t next_index(Bytes name) {
        if (last_ != nullptr && name.size == last_name_.size() &&
            std::memcmp(name.data, last_name_.data(), name.size) == 0)
            return (*last_)++;
        last_name_.assign(reinterpret_cast<const char *>(name.data), name.size);
        last_ = &next_[last_name_];
        return (*last_)++;
    }

    std::unique_ptr<Session> session_;
    uint64_t number_, blocks_ = 0;
    bool alone_;
    std::unordered_map<std::string, uint64_t> next_;
    std::string last_name_;
    uint64_t *last_ = nullptr;
    std::vector<KeyText> keys_;
    std::vector<Change> changes_;
};

template <class Session> class PairReader : public Reader {
  public:
    PairReader(std::unique_ptr<Session> session, ReadMode mode) : session_(std::move(session)), mode_(mode) {}

    bool block(unsigned writer, uint64_t i, Bytes &data) override {
        KeyText key;
        return session_->get(key.add(uint64_t{writer}).add(i).bytes(), data);
    }
    bool get(Bytes key, Bytes &value) override {
        if (!session_->get(key, value)) return false;
        if (mode_ == ReadMode::copy) {
            copy_.assign(value.data, value.data + value.size);
            value.data = copy_.data();
        }
        return true;
    }
    bool record(Bytes stream, uint64_t index, Bytes &data) override {
        KeyText key;
        return session_->get(key.add(stream).add(index).bytes(), data);
    }
    bool memory(uint64_t id, Bytes &data) override {
        KeyText key;
        return session_->get(key.letter('m').add(id).bytes(), data);
    }
    uint64_t scan(Bytes start, uint64_t limit, uint64_t &count) override {
        uint64_t sum = 0, seen = 0;
        session_->walk(start, [&](Bytes key, Bytes value) {
            sum += digest(key, value);
            return ++seen < limit;
        });
        count += seen;
        return sum;
    }
    uint64_t read_stream(Bytes stream, uint64_t &count) override {
        uint64_t sum = 0, seen = 0;
        session_->walk(stream, [&](Bytes key, Bytes value) {
            if (!starts_with(key, stream)) return false;
            sum += digest(value);
            ++seen;
            return true;
        });
        count += seen;
        return sum;
    }
    uint64_t find(Bytes tag, uint64_t &count) override {
        KeyText prefix;
        prefix.letter('t').add(tag).letter('\0');
        ids_.clear();
        session_->walk(prefix.bytes(), [&](Bytes key, Bytes) {
            if (!starts_with(key, prefix.bytes())) return false;
            uint64_t id;
            std::memcpy(&id, key.data + key.size - 8, 8);
            ids_.push_back(__builtin_bswap64(id));
            return true;
        });
        uint64_t sum = 0;
        for (const uint64_t id : ids_) {
            Bytes data;
            if (!memory(id, data)) throw Failure("a tag names a memory that is not there");
            sum += mix(id) ^ digest(data);
        }
        count += ids_.size();
        return sum;
    }

  private:
    std::unique_ptr<Session> session_;
    ReadMode mode_;
    std::vector<uint8_t> copy_;
    std::vector<uint64_t> ids_;
};

} // namespace bench
