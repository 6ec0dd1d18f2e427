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
    bool is_usage_estimated = false;  // the backend did not say; counted here
    // The one that the request was admitted at. Absent: nobody has said what the backend charges.
    std::optional<Price> price;
    PicoDollars cost{0};  // 0 without a price
    std::chrono::microseconds latency{0};
};

// Sums that do not fit their type stop at its end; only `cost_text` has no end.
struct SpendRow {
    std::string backend;
    std::string model;
    uint64_t requests = 0;
    uint64_t unpriced = 0;   // of them, those whose price nobody has said: missing in `cost`
    uint64_t estimated = 0;  // of them, those whose tokens were counted here, not by the backend
    uint64_t prompt_tokens = 0;
    uint64_t cached_tokens = 0;
    uint64_t completion_tokens = 0;
    PicoDollars cost{0};    // at most 2^63 - 1: about 9.2 million dollars
    std::string cost_text;  // exact, as money's to_text writes it
};

struct LedgerOptions {
    // How long an entry is tried to be written before its caller is told that it could not be.
    std::chrono::milliseconds write_max{5'000};
    std::chrono::milliseconds retry_pause{200};
    size_t queue_max = 65'536;  // entries whose callers still wait
    size_t kept_max = 10'000;   // entries whose callers have been told, newest
};

// What has become of the entries so far. Nothing was lost as long as `lost` is 0.
struct LedgerStats {
    uint64_t written = 0;
    uint64_t failed = 0;  // their callers got an error; may have been written since
    uint64_t lost = 0;    // will never be written
    uint64_t kept = 0;    // wait in memory for the database to take them, right now
};

// {"spend":[{"backend":…,"model":…,"requests":…,"unpriced_requests":…,"estimated_requests":…,
// "prompt_tokens":…,"cached_tokens":…,"completion_tokens":…,"cost_pico_dollars":…,
// "cost":"$0.01"},…]}. The cost reads "unknown" where no request had a price, and "$0.01 + 3
// unpriced" where some had none.
std::string spend_json(const std::vector<SpendRow>& rows);

// The book of what was asked, answered and paid. Entries are written by one thread of its own,
// as many to a transaction as have come in the meantime.
//
// A write may fail: the disk is full, somebody locks the file. The entry is tried again until
// write_max is over; then its caller gets the error, so that the answer can end honestly, but the
// entry stays in memory and is written as soon as that works again: a provider's bill does not care
// about our disk. Lost are only: a row that the schema refuses (a bug), what came to a full queue,
// the oldest beyond kept_max, and what is still kept when the process ends. A row that is refused
// takes no other with it.
//
// Threads: any. Ownership: owns the database.
class Ledger {
  public:
    // Called once, on the ledger's thread (for a full queue: on the caller's, at once).
    using Committed = std::function<void(const Result<void>&)>;
    using SpendReady = std::function<void(Result<std::vector<SpendRow>>)>;

    static Result<std::unique_ptr<Ledger>> open(std::unique_ptr<store::Database> database,
                                                LedgerOptions options = {});

    // Writes what is queued, tries once more what is kept, then stops.
    ~Ledger();

    // The answer's end goes out only after `committed` was called: what a client saw, is booked.
    // Errors: Overloaded for a full queue, Unavailable for what could not be written in time,
    // Internal for an entry that the database will never take.
    void record(Entry entry, Committed committed);

    // Totals by backend and model since `from`, largest cost first. What is kept is not in them.
    void spend(std::chrono::system_clock::time_point from, SpendReady ready);

    LedgerStats stats() const;

  private:
    class Writer;
    explicit Ledger(std::unique_ptr<Writer> writer);
    std::unique_ptr<Writer> writer_;
};

}  // namespace weir::ledger
