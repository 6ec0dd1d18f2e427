#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/check.h"

namespace weir::metrics {
namespace {

void append_escaped(std::string& out, std::string_view text, bool in_quotes) {
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
        } else if (c == '\\') {
            out += "\\\\";
        } else if (c == '"' && in_quotes) {
            out += "\\\"";
        } else {
            out += c;
        }
    }
}

std::string number(double value) {
    if (std::isnan(value)) {
        return "NaN";
    }
    if (std::isinf(value)) {
        return value > 0 ? "+Inf" : "-Inf";
    }
    return fmt::format("{}", value);
}

std::string braces(const std::string& labels) {
    return labels.empty() ? "" : "{" + labels + "}";
}

void append_histogram(std::string& out, std::string_view name, const std::string& labels,
                      const Histogram& histogram) {
    const auto bounds = histogram.bounds();
    const std::string comma = labels.empty() ? "" : ",";
    uint64_t count = 0;
    for (size_t i = 0; i <= bounds.size(); ++i) {
        count += histogram.count_in(i);
        const std::string bound = i < bounds.size() ? number(bounds[i]) : "+Inf";
        fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels,
                       comma, bound, count);
    }
    fmt::format_to(std::back_inserter(out), "{0}_sum{1} {2}\n{0}_count{1} {3}\n", name,
                   braces(labels), number(histogram.sum()), count);
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), counts_(bounds.size() + 1) {
    WEIR_ASSERT(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    counts_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
}

uint64_t Histogram::count_in(size_t bucket) const {
    return counts_[bucket].load(std::memory_order_relaxed);
}

std::string Registry::written(const Labels& labels) const {
    std::string out;
    for (const Labels* part : {&base_, &labels}) {
        for (const auto& [name, value] : *part) {
            out += out.empty() ? "" : ",";
            out += name;
            out += "=\"";
            append_escaped(out, value, true);
            out += '"';
        }
    }
    return out;
}

Registry::Series& Registry::series(std::string_view name, std::string_view help, Kind kind,
                                   const Labels& labels) {
    auto family = families_.find(name);
    if (family == families_.end()) {
        family = families_.emplace(name, Family{.help = std::string(help), .kind = kind}).first;
    }
    WEIR_ASSERT(family->second.kind == kind);
    const std::string text = written(labels);
    Series& one = family->second.series[text];
    one.labels = text;
    return one;
}

Counter& Registry::counter(std::string_view name, std::string_view help, const Labels& labels) {
    const MutexLock lock(mutex_);
    Series& one = series(name, help, Kind::Counter, labels);
    if (!one.counter) {
        one.counter = std::make_unique<Counter>();
    }
    return *one.counter;
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
    const MutexLock lock(mutex_);
    Series& one = series(name, help, Kind::Gauge, labels);
    if (!one.gauge) {
        one.gauge = std::make_unique<Gauge>();
    }
    return *one.gauge;
}

Histogram& Registry::histogram(std::string_view name, std::string_view help,
                               std::span<const double> bounds, const Labels& labels) {
    const MutexLock lock(mutex_);
    Series& one = series(name, help, Kind::Histogram, labels);
    if (!one.histogram) {
        one.histogram = std::make_unique<Histogram>(bounds);
    }
    return *one.histogram;
}

std::string Registry::text() const {
    const MutexLock lock(mutex_);
    std::string out;
    for (const auto& [registered, family] : families_) {
        std::string name = registered;
        if (family.kind == Kind::Counter && !name.ends_with("_total")) {
            name += "_total";
        }
        out += "# HELP " + name + " ";
        append_escaped(out, family.help, false);
        constexpr std::string_view kKinds[] = {"counter", "gauge", "histogram"};
        fmt::format_to(std::back_inserter(out), "\n# TYPE {} {}\n", name,
                       kKinds[static_cast<size_t>(family.kind)]);
        for (const auto& [labels, one] : family.series) {
            switch (family.kind) {
                case Kind::Counter:
                    fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braces(labels),
                                   one.counter->value());
                    break;
                case Kind::Gauge:
                    fmt::format_to(std::back_inserter(out), "{}{} {}\n", name, braces(labels),
                                   number(one.gauge->value()));
                    break;
                case Kind::Histogram:
                    append_histogram(out, name, labels, *one.histogram);
                    break;
            }
        }
    }
    return out;
}

}  // namespace weir::metrics
