#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::text {

// A fixed text in a model's output that means something: "<tool_call>", "</parameter>". Models are
// careless about the white space inside and around one, so where the text has some, any run of it
// matches, none included. Leading and trailing white space is no part of a marker, unless there is
// nothing else.
//
// The text `ahead` must follow, after any white space, and is not consumed: XML-like formats do not
// escape, so "</parameter>" ends a value only where the format can go on.
class Marker {
  public:
    Marker() = default;
    explicit Marker(std::string_view text, std::string_view ahead = {});

    // The same with a line feed before it, which then is part of it.
    static Marker after_line_feed(std::string_view text, std::string_view ahead);

    bool empty() const { return pieces_.empty(); }
    std::string text() const;  // with one space where any white space matches

    // The longest run of white space that is taken for a gap inside a marker.
    static constexpr size_t kGapBytesMax = 64;

    enum class State : uint8_t { No, Partial, Yes };
    struct Match {
        State state = State::No;
        size_t consumed = 0;  // Yes only; without `ahead`
        size_t matched = 0;   // Yes only; with `ahead`
        // The consumed part is there, and nothing contradicts what must follow it.
        bool consumed_whole = false;
    };
    // At the beginning of `text`, which may go on after its end (then Partial).
    Match match(std::string_view text) const;

    friend bool operator==(const Marker&, const Marker&) = default;

  private:
    struct Piece {
        std::string text;
        bool gap_before = false;

        friend bool operator==(const Piece&, const Piece&) = default;
    };
    void append(std::string_view text, bool gap_first);

    std::vector<Piece> pieces_;
    size_t consumed_pieces_ = 0;
};

// One state's markers, each with what it means there.
template <typename Meaning>
struct MeaningOf {
    Marker marker;
    Meaning meaning;
};

// The longest marker at the beginning of `text`. Partial while a longer one than any found may
// still come; at the end of a text (`is_end`) nothing more comes, and a marker whose `ahead` was
// cut off counts.
//
// What is found depends on the text alone, never on where it was cut: Partial is answered exactly
// while it is not decided.
template <typename Meaning>
struct Found {
    Marker::State state = Marker::State::No;
    size_t consumed = 0;
    const Meaning* meaning = nullptr;
};

template <typename Meaning>
Found<Meaning> find_marker(std::span<const MeaningOf<Meaning>> markers, std::string_view text,
                           bool is_end) {
    Found<Meaning> found;
    size_t longest = 0;
    bool undecided = false;
    for (const MeaningOf<Meaning>& entry : markers) {
        Marker::Match match = entry.marker.match(text);
        if (match.state == Marker::State::Partial && is_end && match.consumed_whole) {
            match.state = Marker::State::Yes;
            match.matched = match.consumed;
        }
        undecided = undecided || match.state == Marker::State::Partial;
        if (match.state == Marker::State::Yes && match.matched > longest) {
            longest = match.matched;
            found = {Marker::State::Yes, match.consumed, &entry.meaning};
        }
    }
    if (undecided && !is_end) {
        found.state = Marker::State::Partial;
    }
    return found;
}

inline bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

std::string_view trim(std::string_view text);

}  // namespace weir::text
