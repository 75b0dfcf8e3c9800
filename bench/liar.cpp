// The control for the checks: LMDB whose every fiftieth answer is wrong, the first one among them. `--control` runs
// every row with it alone; each must end with a wrong answer, or the benchmark would believe anything.
#include "engine.h"

namespace bench {
namespace {

class LyingReader : public Reader {
  public:
    explicit LyingReader(std::unique_ptr<Reader> truth) : truth_(std::move(truth)) {}
    bool block(unsigned writer, uint64_t i, Bytes &data) override { return bent(truth_->block(writer, i, data), data); }
    bool get(Bytes key, Bytes &value) override { return bent(truth_->get(key, value), value); }
    bool record(Bytes stream, uint64_t index, Bytes &data) override {
        return bent(truth_->record(stream, index, data), data);
    }
    bool memory(uint64_t id, Bytes &data) override { return bent(truth_->memory(id, data), data); }
    uint64_t scan(Bytes start, uint64_t limit, uint64_t &count) override {
        return truth_->scan(start, limit, count) + (lies() ? 1 : 0);
    }
    uint64_t read_stream(Bytes stream, uint64_t &count) override {
        return truth_->read_stream(stream, count) + (lies() ? 1 : 0);
    }
    uint64_t find(Bytes tag, uint64_t &count) override { return truth_->find(tag, count) + (lies() ? 1 : 0); }

  private:
    bool lies() { return answers_++ % 50 == 0; }
    // One bit of the last byte is another one; what isn't there is.
    bool bent(bool found, Bytes &data) {
        if (!lies()) return found;
        if (found)
            copy_.assign(data.data, data.data + data.size);
        else
            copy_.assign(100, 0);
        copy_.back() ^= 1;
        data = {copy_.data(), copy_.size()};
        return true;
    }

    std::unique_ptr<Reader> truth_;
    uint64_t answers_ = 0;
    std::vector<uint8_t> copy_;
};

class Liar : public Engine {
  public:
    Liar() : truth_(lmdb_kind().make()) {}
    void open(const Settings &settings) override { truth_->open(settings); }
    void close() override { truth_->close(); }
    std::unique_ptr<Writer> writer(unsigned number) override { return truth_->writer(number); }
    std::unique_ptr<Reader> reader(ReadMode mode) override {
        return std::make_unique<LyingReader>(truth_->reader(mode));
    }
    void sync() override { truth_->sync(); }

  private:
    std::unique_ptr<Engine> truth_;
};

} // namespace

EngineKind liar_kind() {
    return {"liar", Role::peer, gives_all_of_a_peer, "", "every fiftieth answer is wrong",
            [] { return std::make_unique<Liar>(); }};
}

} // namespace bench
