#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/outcome.h"
#include "text/jinja/value.h"

namespace weir::text::jinja {

// Strict is what the reference does, errors included. Lenient also takes what shipped templates ask
// for and the reference refuses: the filters from_json and fromjson, tojson of what map and select
// give, assignment to a member of a dictionary (the name then means a dictionary with it).
enum class Mode : uint8_t { Strict, Lenient };

// What one render may use. A step is one evaluated node, one item of an iteration, or 64 bytes of
// text looked at.
struct RenderLimits {
    uint64_t steps_max = 10'000'000;
    uint32_t depth_max = 100;  // macros and recursive loops inside each other
    size_t output_bytes_max = size_t{4} << 20;
    size_t memory_bytes_max = size_t{256} << 20;  // everything that the render makes, together
};

// One render: its fuel and its heap. Objects live until the render ends: nothing is freed in
// between, so cycles and deep chains cost nothing special, and the memory limit also bounds the
// copying that a template can cause.
//
// Threads: one. Ownership: owns all objects that its Values point to, except literals.
class Runtime {
  public:
    Runtime(const RenderLimits& limits, std::chrono::local_seconds now, Mode mode)
        : limits_(limits), now_(now), mode_(mode) {}
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    const RenderLimits& limits() const { return limits_; }
    std::chrono::local_seconds now() const { return now_; }
    Mode mode() const { return mode_; }
    bool is_lenient() const { return mode_ == Mode::Lenient; }

    // Fails when the fuel or the memory is used up. Whoever loops calls it in every round.
    Outcome<void> charge(uint64_t steps = 1);
    Outcome<void> charge_bytes(size_t bytes) { return charge(1 + bytes / 64); }
    // Fails if `bytes` more would not fit: to be asked before making something large at once.
    Outcome<void> reserve(size_t bytes);
    size_t room() const {
        return bytes_ < limits_.memory_bytes_max ? limits_.memory_bytes_max - bytes_ : 0;
    }

    Value text(MarkedText text, bool markup = false);
    Value text(std::string bytes) { return text(MarkedText(std::move(bytes), Trust::Data)); }
    Value slice(const Value& str, size_t from, size_t to);  // bytes
    Value list(std::vector<Value> items);
    Value tuple(std::vector<Value> items, Seq::Tag tag = Seq::Tag::Plain);
    Value view(std::vector<Value> items, Seq::Tag tag);
    Value dict(std::vector<Dict::Entry> entries);  // keys are hashable
    Value generator(std::vector<Value> items);
    Value range(const Range& range);
    Namespace& name_space();
    LoopState& loop();
    Cycler& cycler();
    void account(size_t bytes) { bytes_ += bytes; }  // grown outside of the heap's own objects

    // Where the template is, for messages.
    uint32_t line = 0;

    // Levels of native recursion: expressions and statements inside each other, nested containers.
    // Also bounds stack use, whatever the template and the data look like: to less than 256 KiB
    // without sanitizers.
    class Level {
      public:
        explicit Level(Runtime& rt) : rt_(rt) { ++rt_.nesting_; }
        ~Level() { --rt_.nesting_; }
        Level(const Level&) = delete;
        Level& operator=(const Level&) = delete;
        bool too_deep() const { return rt_.nesting_ > kNestingMax; }

      private:
        Runtime& rt_;
    };
    static std::unexpected<Raised> too_deep();

  private:
    static constexpr uint32_t kNestingMax = 250;

    Value store_sequence(Kind kind, std::vector<Value> items, Seq::Tag tag);

    const RenderLimits limits_;
    const std::chrono::local_seconds now_;
    const Mode mode_;
    uint64_t steps_ = 0;
    size_t bytes_ = 0;
    uint32_t nesting_ = 0;
    std::deque<Str> strings_;
    std::deque<Seq> sequences_;
    std::deque<Dict> dicts_;
    std::deque<Range> ranges_;
    std::deque<Generator> generators_;
    std::deque<Namespace> namespaces_;
    std::deque<LoopState> loops_;
    std::deque<Cycler> cyclers_;
};

// Text under construction. Past its limit it takes nothing more, and `finish` (or `check`, inside
// loops) fails.
class TextBuilder {
  public:
    explicit TextBuilder(Runtime& rt) : TextBuilder(rt, rt.room()) {}
    TextBuilder(Runtime& rt, size_t bytes_max) : rt_(rt), bytes_max_(bytes_max) {}

    void append(std::string_view bytes, Trust trust) {
        if (fits(bytes.size())) {
            text_.append(bytes, trust);
        }
    }
    void append(const MarkedText& other) { append(other, 0, other.size()); }
    void append(const MarkedText& other, size_t from, size_t to) {
        if (fits(to - from)) {
            text_.append(other, from, to);
        }
    }
    void fill(std::string_view bytes, size_t times, Trust trust);

    Outcome<void> check() const;  // also of the marks
    Outcome<Value> finish(bool markup = false);
    Outcome<MarkedText> take();

  private:
    // Marks count against the memory that is left. What the next piece brings is seen by the one
    // after it: it is no more than that piece has itself.
    bool fits(size_t bytes) {
        full_ = full_ || bytes > bytes_max_ - text_.size() || text_.mark_bytes() > rt_.room();
        return !full_;
    }

    Runtime& rt_;
    size_t bytes_max_;
    bool full_ = false;
    MarkedText text_;
};

}  // namespace weir::text::jinja
