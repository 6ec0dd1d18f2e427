#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"

// What the program counts, in the form that Prometheus reads (text exposition format 0.0.4).
namespace weir::metrics {

// Only grows. Threads: any.
class Counter {
  public:
    void add(uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
    // For a count that is kept elsewhere; never smaller than before.
    void set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
    uint64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<uint64_t> value_{0};
};

// Threads: any.
class Gauge {
  public:
    void set(double value) { value_.store(value, std::memory_order_relaxed); }
    void add(double value) { value_.fetch_add(value, std::memory_order_relaxed); }
    double value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<double> value_{0};
};

// Counts by upper bound, inclusive. Threads: any.
class Histogram {
  public:
    explicit Histogram(std::span<const double> bounds);  // ascending; infinity is added
    void observe(double value);

    std::span<const double> bounds() const { return bounds_; }
    uint64_t count_in(size_t bucket) const;  // bounds().size() + 1 buckets, not cumulative
    double sum() const { return sum_.load(std::memory_order_relaxed); }

  private:
    std::vector<double> bounds_;
    std::vector<std::atomic<uint64_t>> counts_;
    std::atomic<double> sum_{0};
};

using Labels = std::vector<std::pair<std::string, std::string>>;

// All metrics of one process. Names and label values come from this program, never from clients:
// a label that a request could choose would grow without limit.
//
// Threads: any. Ownership: owns every metric; references stay valid as long as the registry.
// Invariant: one name is of one kind; asking for the same name and labels gives the same metric.
class Registry {
  public:
    // `base` is put on every series.
    explicit Registry(Labels base = {}) : base_(std::move(base)) {}

    Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
    Histogram& histogram(std::string_view name, std::string_view help,
                         std::span<const double> bounds, const Labels& labels = {});

    // A counter's name ends in `_total`, whether it was registered so or not.
    std::string text() const;

  private:
    enum class Kind : uint8_t { Counter, Gauge, Histogram };
    struct Series {
        std::string labels;  // as they are written, without braces
        std::unique_ptr<Counter> counter;
        std::unique_ptr<Gauge> gauge;
        std::unique_ptr<Histogram> histogram;
    };
    struct Family {
        std::string help;
        Kind kind = Kind::Counter;
        std::map<std::string, Series> series;
    };
    Series& series(std::string_view name, std::string_view help, Kind kind, const Labels& labels)
        WEIR_REQUIRES(mutex_);
    std::string written(const Labels& labels) const;

    const Labels base_;
    mutable Mutex mutex_;
    std::map<std::string, Family, std::less<>> families_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::metrics
