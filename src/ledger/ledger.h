#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/event.h"
#include "chat/label.h"
#include "ledger/money.h"
#include "store/database.h"

namespace weir::ledger {

// One request, once it has ended, however it ended. No content.
struct Entry {
    std::string request_id;
    std::chrono::system_clock::time_point time;
    std::string key;      // the client key's name; empty: none configured
    std::string route;    // the model name that the client asked for
    std::string backend;  // who answered; empty: nobody
    std::string model;    // as the backend calls it
    chat::Label label = chat::Label::Restricted;
    std::string outcome;  // "ok", or the error's code
    chat::Usage usage;
    Price price;  // the one that the request was admitted at
    PicoDollars cost{0};
    std::chrono::microseconds latency{0};
};

struct SpendRow {
    std::string backend;
    std::string model;
    uint64_t requests = 0;
    uint64_t prompt_tokens = 0;
    uint64_t cached_tokens = 0;
    uint64_t completion_tokens = 0;
    PicoDollars cost{0};
};

// The book of what was asked, answered and paid. Entries are written by one thread of its own,
// as many to a transaction as have come in the meantime.
//
// Threads: any. Ownership: owns the database.
class Ledger {
  public:
    // Called on the ledger's thread once the entry is committed, or could not be.
    using Committed = std::function<void(const Result<void>&)>;
    using SpendReady = std::function<void(Result<std::vector<SpendRow>>)>;

    static Result<std::unique_ptr<Ledger>> open(std::unique_ptr<store::Database> database);

    // Writes what is queued, then stops.
    ~Ledger();

    // The answer's end goes out only after `committed` was called: what a client saw, is booked.
    // A full queue (kQueueMax) calls back at once with Overloaded.
    void record(Entry entry, Committed committed);

    // Totals by backend and model since `from`, largest cost first.
    void spend(std::chrono::system_clock::time_point from, SpendReady ready);

    static constexpr size_t kQueueMax = 65536;

  private:
    class Writer;
    explicit Ledger(std::unique_ptr<Writer> writer);
    std::unique_ptr<Writer> writer_;
};

}  // namespace weir::ledger
