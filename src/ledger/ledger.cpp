#include "ledger/ledger.h"

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace weir::ledger {
namespace {

// Numbers are in the units of their names; `rate` columns in 10^-18 dollars a token.
constexpr std::array<store::Migration, 1> kSchema = {store::Migration{
    "requests",
    "CREATE TABLE requests ("
    "  request_id TEXT NOT NULL, time_us BIGINT NOT NULL, key_name TEXT NOT NULL,"
    "  route TEXT NOT NULL, backend TEXT NOT NULL, model TEXT NOT NULL, label TEXT NOT NULL,"
    "  outcome TEXT NOT NULL, prompt_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,"
    "  completion_tokens BIGINT NOT NULL, input_rate BIGINT NOT NULL, cached_rate BIGINT NOT NULL,"
    "  output_rate BIGINT NOT NULL, cost_pico BIGINT NOT NULL, latency_us BIGINT NOT NULL);"
    "CREATE INDEX requests_by_time ON requests (time_us)"}};

constexpr std::string_view kInsert =
    "INSERT INTO requests VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
    "$15, $16)";

constexpr std::string_view kSpend =
    "SELECT backend, model, COUNT(*), SUM(prompt_tokens), SUM(cached_tokens), "
    "SUM(completion_tokens), SUM(cost_pico) FROM requests WHERE time_us >= $1 "
    "GROUP BY backend, model ORDER BY SUM(cost_pico) DESC, backend, model";

int64_t microseconds_of(std::chrono::system_clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

std::array<store::Value, 16> columns_of(const Entry& entry) {
    const auto count = [](uint64_t tokens) {
        return store::Value(static_cast<int64_t>(tokens));
    };
    const auto rate = [](Rate value) {
        return store::Value(static_cast<int64_t>(value));
    };
    return {entry.request_id,
            microseconds_of(entry.time),
            entry.key,
            entry.route,
            entry.backend,
            entry.model,
            std::string(chat::name(entry.label)),
            entry.outcome,
            count(entry.usage.prompt_tokens),
            count(entry.usage.cached_tokens),
            count(entry.usage.completion_tokens),
            rate(entry.price.input),
            rate(entry.price.cached.value_or(entry.price.input)),
            rate(entry.price.output),
            static_cast<int64_t>(entry.cost),
            int64_t{entry.latency.count()}};
}

Result<std::vector<SpendRow>> spend_rows(const std::vector<store::Row>& rows) {
    std::vector<SpendRow> out;
    for (const store::Row& row : rows) {
        const auto text = [&](size_t i) {
            const auto* value = std::get_if<std::string>(&row.at(i));
            return value == nullptr ? std::string() : *value;
        };
        const auto number = [&](size_t i) {
            const auto* value = std::get_if<int64_t>(&row.at(i));
            return value == nullptr ? int64_t{0} : *value;
        };
        out.push_back({.backend = text(0),
                       .model = text(1),
                       .requests = static_cast<uint64_t>(number(2)),
                       .prompt_tokens = static_cast<uint64_t>(number(3)),
                       .cached_tokens = static_cast<uint64_t>(number(4)),
                       .completion_tokens = static_cast<uint64_t>(number(5)),
                       .cost = PicoDollars{number(6)}});
    }
    return out;
}

}  // namespace

// The thread that owns the database.
class Ledger::Writer {
  public:
    explicit Writer(std::unique_ptr<store::Database> database)
        : database_(std::move(database)), thread_([this] { run(); }) {}

    ~Writer() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }

    bool push(Entry entry, Committed committed) {
        {
            const std::lock_guard lock(mutex_);
            if (entries_.size() >= kQueueMax) {
                return false;
            }
            entries_.push_back({std::move(entry), std::move(committed)});
        }
        wake_.notify_one();
        return true;
    }

    void push(std::chrono::system_clock::time_point from, SpendReady ready) {
        {
            const std::lock_guard lock(mutex_);
            questions_.push_back({from, std::move(ready)});
        }
        wake_.notify_one();
    }

  private:
    struct Waiting {
        Entry entry;
        Committed committed;
    };
    struct Question {
        std::chrono::system_clock::time_point from;
        SpendReady ready;
    };

    void run() {
        while (true) {
            std::deque<Waiting> entries;
            std::deque<Question> questions;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(
                    lock, [this] { return stopping_ || !entries_.empty() || !questions_.empty(); });
                if (entries_.empty() && questions_.empty()) {
                    return;
                }
                entries.swap(entries_);
                questions.swap(questions_);
            }
            if (!entries.empty()) {
                const Result<void> written = write(entries);
                if (!written) {
                    log(LogLevel::Error, "the ledger could not write {} entries: {}",
                        entries.size(), written.error().message);
                }
                for (const Waiting& waiting : entries) {
                    waiting.committed(written);
                }
            }
            for (const Question& question : questions) {
                question.ready(read(question.from));
            }
        }
    }

    Result<void> write(const std::deque<Waiting>& entries) {
        WEIR_TRY(database_->begin());
        for (const Waiting& waiting : entries) {
            Result<std::vector<store::Row>> inserted =
                database_->query(kInsert, columns_of(waiting.entry));
            if (!inserted) {
                WEIR_TRY(database_->roll_back());
                return std::unexpected(std::move(inserted).error());
            }
        }
        return database_->commit();
    }

    Result<std::vector<SpendRow>> read(std::chrono::system_clock::time_point from) {
        const std::array<store::Value, 1> parameters = {microseconds_of(from)};
        WEIR_TRY_ASSIGN(const auto rows, database_->query(kSpend, parameters));
        return spend_rows(rows);
    }

    std::unique_ptr<store::Database> database_;  // used by thread_ only
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Waiting> entries_;     // guarded by mutex_
    std::deque<Question> questions_;  // guarded by mutex_
    bool stopping_ = false;           // guarded by mutex_
    std::thread thread_;              // last: it uses all of the above
};

Result<std::unique_ptr<Ledger>> Ledger::open(std::unique_ptr<store::Database> database) {
    WEIR_TRY(database->migrate("ledger", kSchema));
    return std::unique_ptr<Ledger>(new Ledger(std::make_unique<Writer>(std::move(database))));
}

Ledger::Ledger(std::unique_ptr<Writer> writer) : writer_(std::move(writer)) {}
Ledger::~Ledger() = default;

void Ledger::record(Entry entry, Committed committed) {
    // The callback is copied, because a full queue has to be told about as well.
    if (!writer_->push(std::move(entry), committed)) {
        committed(fail(ErrorCode::Overloaded, "the ledger's queue is full"));
    }
}

void Ledger::spend(std::chrono::system_clock::time_point from, SpendReady ready) {
    writer_->push(from, std::move(ready));
}

}  // namespace weir::ledger
