// redb and fjall, through the C interface of bench/rust. How each is set up stands in the module that does it.
#include "pairs.h"
#include "rust/peers.h"

namespace bench {
namespace {

static_assert(sizeof(Change) == sizeof(peer_change) && offsetof(Change, value) == offsetof(peer_change, value) &&
              offsetof(Change, remove) == offsetof(peer_change, remove));

int must(int answer) {
    if (answer < 0) throw Failure(peer_failure());
    return answer;
}

class Session {
  public:
    Session(peer *of, bool reads, bool frozen) : peer_(of) {
        if (reads) must(peer_session_new(of, frozen, &session_));
    }
    ~Session() {
        if (session_ != nullptr) peer_session_free(session_);
    }
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

    void put(const Change *changes, size_t count, bool) {
        must(peer_put(peer_, reinterpret_cast<const peer_change *>(changes), count));
    }
    bool get(Bytes key, Bytes &value) {
        return must(peer_get(session_, key.data, key.size, &value.data, &value.size)) == 0;
    }
    template <class Each> void walk(Bytes start, Each each) {
        const auto call = [](void *user, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len) {
            return (*static_cast<Each *>(user))(Bytes{key, key_len}, Bytes{value, value_len});
        };
        must(peer_walk(session_, start.data, start.size, call, &each));
    }

  private:
    peer *peer_;
    peer_session *session_ = nullptr;
};

class RustPeer : public Engine {
  public:
    explicit RustPeer(uint32_t engine) : engine_(engine) {}
    ~RustPeer() override { RustPeer::close(); }
    void open(const Settings &settings) override {
        const uint64_t cache =
            settings.memory_bytes != 0 ? settings.memory_bytes / 2 : (uint64_t{256} << 20) + 2 * settings.data_bytes;
        must(peer_open(engine_, settings.directory.c_str(), settings.safety == Safety::power, cache,
                       settings.value_bytes, &peer_));
    }
    void close() override {
        if (peer_ != nullptr) peer_close(peer_);
        peer_ = nullptr;
    }
    std::unique_ptr<Writer> writer(unsigned number) override {
        return std::make_unique<PairWriter<Session>>(std::make_unique<Session>(peer_, false, false), number, false);
    }
    std::unique_ptr<Reader> reader(ReadMode mode) override {
        const bool frozen = mode == ReadMode::snapshot;
        return std::make_unique<PairReader<Session>>(std::make_unique<Session>(peer_, true, frozen), mode);
    }
    void sync() override { must(peer_sync(peer_)); }
    void settle() override { must(peer_settle(peer_)); }

  private:
    uint32_t engine_;
    peer *peer_ = nullptr;
};

} // namespace

EngineKind redb_kind() {
    return {"redb",
            Role::peer,
            gives_all_of_a_peer & ~uint32_t{gives_process},
            "4.6.0",
            "power: Durability::Immediate; what it commits without is lost with the process",
            [] { return std::make_unique<RustPeer>(PEER_REDB); }};
}

EngineKind fjall_kind() {
    return {"fjall",
            Role::peer,
            gives_all_of_a_peer,
            "3.1.13",
            "cache > data, values from 4 KiB in files of their own; power: PersistMode::SyncData",
            [] { return std::make_unique<RustPeer>(PEER_FJALL); }};
}

} // namespace bench
