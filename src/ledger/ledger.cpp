#include "ledger/ledger.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <thread>

#include "base/log.h"
#include "base/mutex.h"
#include "ledger/rows.h"

namespace weir::ledger {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kBatchMax = 1024;   // entries in one transaction
constexpr size_t kFailuresMax = 16;  // then a database that fails is left alone for retry_pause

}  // namespace

// The thread that owns the database.
//
// Invariant: backlog_ holds what is to be written; an entry whose caller has been told that it
// could not be has no callback any more.
class Ledger::Writer {
  public:
    Writer(std::unique_ptr<store::Database> database, LedgerOptions options)
        : options_(options), database_(std::move(database)), thread_([this] { run(); }) {}

    ~Writer() {
        {
            const MutexLock lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }

    bool push(Entry entry, Committed committed) {
        {
            const MutexLock lock(mutex_);
            if (untold_ >= options_.queue_max) {
                ++failed_;
                ++lost_;
                return false;
            }
            ++untold_;
            entries_.push_back({std::move(entry), std::move(committed), SteadyClock::now()});
        }
        wake_.notify_one();
        return true;
    }

    void push(std::chrono::system_clock::time_point from, SpendReady ready) {
        {
            const MutexLock lock(mutex_);
            questions_.push_back({from, std::move(ready)});
        }
        wake_.notify_one();
    }

    LedgerStats stats() const {
        return {.written = written_, .failed = failed_, .lost = lost_, .kept = kept_};
    }

  private:
    struct Waiting {
        Entry entry;
        Committed committed;
        SteadyClock::time_point since;
    };
    struct Question {
        std::chrono::system_clock::time_point from;
        SpendReady ready;
    };

    void run() {
        while (true) {
            std::deque<Question> questions;
            const bool stopping = wait_for_work(questions);
            if (stopping || SteadyClock::now() >= retry_at_) {
                write_backlog();
            }
            tell_those_who_have_waited_enough();
            for (const Question& question : questions) {
                question.ready(read(question.from));
            }
            if (stopping && questions.empty() && untold_ == 0) {
                if (!backlog_.empty()) {
                    log(LogLevel::Error,
                        "the ledger ends without {} entries that it could not "
                        "write",
                        backlog_.size());
                }
                return;
            }
        }
    }

    // Waits for something to do, takes it over, and says whether the end has come. What has failed
    // waits for its time, and new entries wait with it: they would fail as well.
    bool wait_for_work(std::deque<Question>& questions) {
        const MutexLock lock(mutex_);
        if (backlog_.empty()) {
            while (!stopping_ && entries_.empty() && questions_.empty()) {
                wake_.wait(mutex_);
            }
        } else {
            while (questions_.empty() && (!stopping_ || stop_seen_) &&
                   SteadyClock::now() < retry_at_) {
                wake_.wait_for(mutex_, retry_at_ - SteadyClock::now());
            }
        }
        std::move(entries_.begin(), entries_.end(), std::back_inserter(backlog_));
        entries_.clear();
        questions.swap(questions_);
        stop_seen_ = stopping_;
        return stopping_;
    }

    void write_backlog() {
        while (!backlog_.empty()) {
            const size_t count = std::min(backlog_.size(), kBatchMax);
            if (write(backlog_.begin(), count)) {
                for (size_t i = 0; i < count; ++i) {
                    settle(std::move(backlog_.front()));
                    backlog_.pop_front();
                }
            } else if (!write_one_by_one(count)) {
                retry_at_ = SteadyClock::now() + options_.retry_pause;
                return;
            }
        }
        if (!problem_.empty()) {
            log(LogLevel::Info, "the ledger writes again");
            problem_.clear();
        }
    }

    // What goes wrong with one entry must not keep the others out. What may yet succeed goes to the
    // end of the backlog, so that it does not stand in the way; false if there is any.
    bool write_one_by_one(size_t count) {
        std::deque<Waiting> again;
        for (; count > 0 && again.size() < kFailuresMax; --count) {
            const Result<void> written = write(backlog_.begin(), 1);
            Waiting waiting = std::move(backlog_.front());
            backlog_.pop_front();
            if (written) {
                settle(std::move(waiting));
            } else if (written.error().code == ErrorCode::InvalidArgument) {
                lose(std::move(waiting), written.error());
            } else {
                note(written.error());
                again.push_back(std::move(waiting));
            }
        }
        std::move(again.begin(), again.end(), std::back_inserter(backlog_));
        return again.empty();
    }

    // All of them or none.
    Result<void> write(std::deque<Waiting>::const_iterator first, size_t count) {
        Result<void> written = database_->begin();
        for (size_t i = 0; i < count && written; ++i, ++first) {
            const auto inserted = database_->query(kInsert, columns_of(first->entry));
            if (!inserted) {
                written = std::unexpected(inserted.error());
            }
        }
        if (written) {
            written = database_->commit();
        }
        if (!written) {
            // A transaction that stays open would fail every later one. If even this fails, the
            // next begin() says so, and it is tried again.
            [[maybe_unused]] const Result<void> rolled_back = database_->roll_back();
        }
        return written;
    }

    void note(const Error& error) {
        if (problem_.empty()) {
            log(LogLevel::Error, "the ledger cannot write: {}", error.message);
        }
        problem_ = error.message;
    }

    void tell(Waiting& waiting, const Result<void>& how) {
        const Committed committed = std::exchange(waiting.committed, nullptr);
        failed_ += how ? 0 : 1;
        {
            const MutexLock lock(mutex_);
            --untold_;
        }
        committed(how);
    }

    void settle(Waiting waiting) {
        ++written_;
        if (waiting.committed) {
            tell(waiting, {});
        } else {
            --kept_;
        }
    }

    void lose(Waiting waiting, const Error& error) {
        ++lost_;
        log(LogLevel::Error, "the ledger refuses the entry of request {}: {}",
            waiting.entry.request_id, error.message);
        if (waiting.committed) {
            tell(waiting, fail(ErrorCode::Internal, "the ledger refuses the entry"));
        } else {
            --kept_;
        }
    }

    void tell_those_who_have_waited_enough() {
        const auto before = SteadyClock::now() - options_.write_max;
        for (Waiting& waiting : backlog_) {
            if (waiting.committed && waiting.since <= before) {
                ++kept_;
                tell(waiting,
                     fail(ErrorCode::Unavailable, "the ledger cannot be written: {}", problem_));
            }
        }
        while (kept_ > options_.kept_max) {
            const auto is_older = [](const Waiting& a, const Waiting& b) {
                return !a.committed && (b.committed || a.since < b.since);
            };
            backlog_.erase(std::min_element(backlog_.begin(), backlog_.end(), is_older));
            --kept_;
            ++lost_;
        }
    }

    Result<std::vector<SpendRow>> read(std::chrono::system_clock::time_point from) {
        const std::array<store::Value, 1> parameters = {microseconds_of(from)};
        WEIR_TRY_ASSIGN(const auto rows, database_->query(kSpend, parameters));
        return spend_rows(rows);
    }

    const LedgerOptions options_;

    // Used by thread_ only.
    std::unique_ptr<store::Database> database_;
    std::deque<Waiting> backlog_;
    SteadyClock::time_point retry_at_{};
    std::string problem_;  // why the last write failed; empty: it did not
    bool stop_seen_ = false;

    // Written by thread_, and `failed_` and `lost_` by others under mutex_.
    std::atomic<uint64_t> written_{0};
    std::atomic<uint64_t> failed_{0};
    std::atomic<uint64_t> lost_{0};
    std::atomic<uint64_t> kept_{0};

    Mutex mutex_;
    Condition wake_;
    std::deque<Waiting> entries_ WEIR_GUARDED_BY(mutex_);
    std::deque<Question> questions_ WEIR_GUARDED_BY(mutex_);
    bool stopping_ WEIR_GUARDED_BY(mutex_) = false;
    std::atomic<size_t> untold_{0};  // callers that wait; grows under mutex_
    std::thread thread_;             // last: it uses all of the above
};

Result<std::unique_ptr<Ledger>> Ledger::open(std::unique_ptr<store::Database> database,
                                             LedgerOptions options) {
    WEIR_TRY(database->migrate("ledger", kSchema));
    return std::unique_ptr<Ledger>(
        new Ledger(std::make_unique<Writer>(std::move(database), options)));
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

LedgerStats Ledger::stats() const {
    return writer_->stats();
}

}  // namespace weir::ledger
