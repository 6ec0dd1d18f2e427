#include "text/pattern.h"

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "text/pattern_syntax.h"

// From the syntax to a nondeterministic program (Thompson 1968), whose threads are kept in order of
// preference; from there to a deterministic automaton, all of it at once, since patterns are short
// and texts are not. A state is a list of threads, the preferred one first; a thread that has
// matched ends all that come behind it. Looking ahead costs nothing: a thread that waits for what
// comes next is moved on when the next character is known, which is when the step is taken anyway.

namespace weir::text {
namespace {

using Kind = PatternNode::Kind;

constexpr size_t kProgramMax = 1 << 13;
constexpr size_t kEmitsMax = 1 << 16;  // nodes, as often as they are repeated
constexpr size_t kStatesMax = 1 << 11;
constexpr size_t kTransitionsMax = 1 << 18;
constexpr size_t kClassesMax = 200;

struct Instruction {
    enum class Op : uint8_t { Set, Split, LookAhead, Match };
    Op op = Op::Match;
    bool at_end = false;
    uint32_t set = 0;
    uint32_t next = 0;
    uint32_t other = 0;  // Split: the less preferred way
};

// Which sets the characters of a class are in, one bit a set.
using Signature = uint64_t;

// A character that is in no category.
constexpr char32_t kUnassigned = 0x378;

bool can_match_nothing(const PatternNode& node) {
    switch (node.kind) {
        case Kind::Set:
            return false;
        case Kind::LookAhead:
            return true;
        case Kind::Repeat:
            return node.least == 0 || can_match_nothing(node.children[0]);
        case Kind::Sequence:
            return std::ranges::all_of(node.children, can_match_nothing);
        case Kind::Alternatives:
            return std::ranges::any_of(node.children, can_match_nothing);
    }
    return true;
}

}  // namespace

class PatternCompiler {
  public:
    explicit PatternCompiler(PatternSyntax syntax) : syntax_(std::move(syntax)) {}

    Result<Pattern> compile() {
        if (can_match_nothing(syntax_.root)) {
            return data_corrupt("the pattern can match nothing at all");
        }
        program_.push_back({});  // Match
        WEIR_TRY_ASSIGN(start_, emit(syntax_.root, 0));
        WEIR_TRY(make_classes());
        WEIR_TRY(make_states());
        return std::move(pattern_);
    }

  private:
    Result<uint32_t> push(const Instruction& instruction) {
        if (program_.size() == kProgramMax) {
            return unsupported("the pattern is too large");
        }
        program_.push_back(instruction);
        return static_cast<uint32_t>(program_.size() - 1);
    }

    // Emits the node so that it goes on at `next`; returns where it begins. The depth is bounded by
    // the parser. Nodes are counted beside instructions: an empty group has none of its own.
    Result<uint32_t> emit(const PatternNode& node, uint32_t next) {
        if (++emits_ > kEmitsMax) {
            return unsupported("the pattern is too large");
        }
        switch (node.kind) {
            case Kind::Set:
                return push({.op = Instruction::Op::Set, .set = node.set, .next = next});
            case Kind::LookAhead:
                return push({.op = Instruction::Op::LookAhead,
                             .at_end = node.at_end,
                             .set = node.set,
                             .next = next});
            case Kind::Sequence:
                for (auto child = node.children.rbegin(); child != node.children.rend(); ++child) {
                    WEIR_TRY_ASSIGN(next, emit(*child, next));
                }
                return next;
            case Kind::Alternatives: {
                WEIR_TRY_ASSIGN(uint32_t begin, emit(node.children.back(), next));
                for (size_t i = node.children.size() - 1; i-- > 0;) {
                    WEIR_TRY_ASSIGN(const uint32_t branch, emit(node.children[i], next));
                    WEIR_TRY_ASSIGN(
                        begin,
                        push({.op = Instruction::Op::Split, .next = branch, .other = begin}));
                }
                return begin;
            }
            case Kind::Repeat:
                return emit_repeat(node, next);
        }
        return next;
    }

    Result<uint32_t> emit_repeat(const PatternNode& node, uint32_t next) {
        const PatternNode& body = node.children[0];
        uint32_t begin = next;
        if (node.most == PatternSyntax::kUnbounded) {
            WEIR_TRY_ASSIGN(begin, push({.op = Instruction::Op::Split}));
            WEIR_TRY_ASSIGN(const uint32_t again, emit(body, begin));
            set_ways(begin, node.greed, again, next);
        } else {
            for (uint32_t i = node.least; i < node.most; ++i) {
                WEIR_TRY_ASSIGN(const uint32_t once, emit(body, begin));
                WEIR_TRY_ASSIGN(begin, push({.op = Instruction::Op::Split}));
                set_ways(begin, node.greed, once, next);
            }
        }
        for (uint32_t i = 0; i < node.least; ++i) {
            WEIR_TRY_ASSIGN(begin, emit(body, begin));
        }
        return begin;
    }

    void set_ways(uint32_t split, PatternNode::Greed greed, uint32_t again, uint32_t on) {
        const bool greedy = greed == PatternNode::Greed::Greedy;
        program_[split].next = greedy ? again : on;
        program_[split].other = greedy ? on : again;
    }

    // Characters that no set tells apart are one class.
    Result<void> make_classes() {
        std::vector<Signature> changes(0x110000);  // at a code point: the sets that begin or end
        for (size_t set = 0; set < syntax_.sets.size(); ++set) {
            for (const CodePointSet::Range& range : syntax_.sets[set].ranges()) {
                changes[range.first] ^= Signature{1} << set;
                if (range.last + 1 < changes.size()) {
                    changes[range.last + 1] ^= Signature{1} << set;
                }
            }
        }
        std::vector<uint8_t> flat(changes.size());
        std::unordered_map<Signature, uint8_t> known;
        Signature signature = 0;
        for (size_t code_point = 0; code_point < flat.size(); ++code_point) {
            if (code_point > 0 && changes[code_point] == 0) {
                flat[code_point] = flat[code_point - 1];
                continue;
            }
            signature ^= changes[code_point];
            const auto [found, added] =
                known.try_emplace(signature, static_cast<uint8_t>(signatures_.size()));
            if (added) {
                signatures_.push_back(signature);
            }
            if (signatures_.size() > kClassesMax) {
                return unsupported("the pattern tells too many kinds of characters apart");
            }
            flat[code_point] = found->second;
        }
        pattern_.classes_ = static_cast<uint32_t>(signatures_.size());
        std::copy_n(flat.begin(), pattern_.ascii_class_.size(), pattern_.ascii_class_.begin());
        pattern_.invalid_class_ = flat[kUnassigned];
        store_blocks(flat);
        return {};
    }

    // Equal blocks are stored once.
    void store_blocks(const std::vector<uint8_t>& flat) {
        constexpr size_t kBlock = size_t{1} << Pattern::kBlockBits;
        std::map<std::string, uint16_t> known;
        for (size_t at = 0; at < flat.size(); at += kBlock) {
            const auto begin = flat.begin() + static_cast<ptrdiff_t>(at);
            const auto next = static_cast<uint16_t>(pattern_.blocks_.size() / kBlock);
            const auto [entry, added] = known.try_emplace(std::string(begin, begin + kBlock), next);
            if (added) {
                pattern_.blocks_.insert(pattern_.blocks_.end(), begin, begin + kBlock);
            }
            pattern_.block_of_.push_back(entry->second);
        }
    }

    using Threads = std::vector<uint32_t>;

    // What becomes of the threads when the next character is of the class, or is none.
    struct Step {
        Threads threads;
        bool matched = false;
    };
    Step step(const Threads& from, std::optional<uint32_t> char_class) {
        Step result;
        ++round_;
        seen_.resize(program_.size());
        const auto holds = [&](const Instruction& instruction) {
            return char_class ? (signatures_[*char_class] >> instruction.set & 1) != 0
                              : instruction.at_end;
        };
        Threads waiting(from.rbegin(), from.rend());
        while (!waiting.empty()) {
            const uint32_t at = waiting.back();
            waiting.pop_back();
            if (std::exchange(seen_[at], round_) == round_) {
                continue;
            }
            const Instruction& instruction = program_[at];
            switch (instruction.op) {
                case Instruction::Op::Match:
                    result.matched = true;
                    return result;
                case Instruction::Op::Split:
                    waiting.push_back(instruction.other);
                    waiting.push_back(instruction.next);
                    break;
                case Instruction::Op::LookAhead:
                    if (holds(instruction)) {
                        waiting.push_back(instruction.next);
                    }
                    break;
                case Instruction::Op::Set:
                    if (char_class && holds(instruction)) {
                        result.threads.push_back(instruction.next);
                    }
                    break;
            }
        }
        return result;
    }

    Result<uint16_t> state_of(const Threads& threads) {
        const auto [found, added] =
            states_.try_emplace(threads, static_cast<uint16_t>(order_.size()));
        if (added) {
            if (order_.size() == kStatesMax ||
                order_.size() * (pattern_.classes_ + 1) > kTransitionsMax) {
                return unsupported("the pattern is too large");
            }
            order_.push_back(threads);
        }
        return found->second;
    }

    Result<void> make_states() {
        WEIR_TRY(state_of({}));  // 0: no way on
        WEIR_TRY(state_of({start_}));
        for (size_t state = 0; state < order_.size(); ++state) {
            for (uint32_t char_class = 0; char_class <= pattern_.classes_; ++char_class) {
                const Threads from = order_[state];
                const bool at_end = char_class == pattern_.classes_;
                const Step next =
                    step(from, at_end ? std::nullopt : std::optional<uint32_t>(char_class));
                WEIR_TRY_ASSIGN(const uint16_t to, state_of(next.threads));
                pattern_.transitions_.push_back({to, next.matched});
            }
        }
        return {};
    }

    PatternSyntax syntax_;
    Pattern pattern_;
    std::vector<Instruction> program_;
    size_t emits_ = 0;
    uint32_t start_ = 0;
    std::vector<Signature> signatures_;  // of each class
    std::map<Threads, uint16_t> states_;
    std::vector<Threads> order_;  // of the states
    std::vector<uint32_t> seen_;  // in which round an instruction was met last
    uint32_t round_ = 0;
};

Result<Pattern> Pattern::create(std::string_view pattern) {
    WEIR_TRY_ASSIGN(PatternSyntax syntax, parse_pattern(pattern));
    return PatternCompiler(std::move(syntax)).compile();
}

uint8_t Pattern::class_at(std::string_view text, size_t at, uint32_t& bytes) const {
    const auto first = static_cast<unsigned char>(text[at]);
    if (first < 0x80) {
        bytes = 1;
        return ascii_class_[first];
    }
    const utf8::Decoded next = utf8::decode(text, at);
    bytes = next.bytes;
    if (!next.valid) {
        return invalid_class_;
    }
    constexpr char32_t kMask = (1U << kBlockBits) - 1;
    return blocks_[size_t{block_of_[next.code_point >> kBlockBits]} << kBlockBits |
                   (next.code_point & kMask)];
}

std::optional<size_t> Pattern::match_at(std::string_view text, size_t at, uint64_t& steps) const {
    std::optional<size_t> end;
    for (uint32_t state = 1; state != 0;) {
        ++steps;
        uint32_t bytes = 0;
        const uint32_t char_class = at < text.size() ? class_at(text, at, bytes) : classes_;
        const Transition& transition = transitions_[state * (classes_ + 1) + char_class];
        if (transition.matched) {
            end = at;
        }
        state = transition.next;
        at += bytes;
    }
    return end;
}

}  // namespace weir::text
