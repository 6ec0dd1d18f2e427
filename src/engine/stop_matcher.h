#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::engine {

// Finds the first stop string in a text that comes in pieces, and holds back what may yet turn out
// to be the beginning of one. One automaton a string (Knuth, Morris, Pratt 1977), all fed each
// byte: linear in the text, whatever the strings are.
//
// The string that is complete first wins, of two at once the one that began first. Text before it
// is released, it itself never is.
//
// Threads: one.
class StopMatcher {
  public:
    explicit StopMatcher(const std::vector<std::string>& stops);  // none is empty

    // Takes a piece and returns what is now certain to be text. After a stop string was found,
    // further pieces are ignored.
    std::string push(std::string_view piece);
    bool stopped() const { return stopped_; }
    // The end of the text: what was held back is text after all.
    std::string finish();

    uint64_t released_bytes() const { return released_bytes_; }

  private:
    struct Automaton {
        std::string text;
        std::vector<uint32_t> fallback;  // [i]: the longest proper border of text[0, i)
        uint32_t matched = 0;
    };
    std::vector<Automaton> automata_;
    std::string held_back_;
    bool stopped_ = false;
    uint64_t released_bytes_ = 0;
};

}  // namespace weir::engine
