#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/template.h"

namespace weir::text {

// Conversations that a chat template is shown to learn what it writes around them: their texts,
// names, keys and values are words that no template says of itself.
namespace probe_words {
inline constexpr std::string_view kText = "weirtext";
inline constexpr std::string_view kThought = "weirthought";
inline constexpr std::string_view kName = "weirfn";
inline constexpr std::string_view kSecondName = "weirfm";
inline constexpr std::string_view kKey = "weirkey";
inline constexpr std::string_view kSecondKey = "weirkez";
inline constexpr std::string_view kValue = "weirval";
inline constexpr std::string_view kSecondValue = "weirvam";
inline constexpr std::string_view kNumber = "90210417";
inline constexpr std::string_view kId = "weirid001";
inline constexpr std::string_view kSecondId = "weirid002";
}  // namespace probe_words

// What is left of `text` after the pieces that it begins with in common with `known`.
std::string without_prefix(std::string_view text, std::string_view known);

// A template's renders of them, each from where the user's turn ends. Nothing: the template refuses
// such a conversation.
//
// Ownership: borrows the template and the special tokens.
class Probe {
  public:
    Probe(const jinja::Template& compiled,
          const std::vector<std::pair<std::string, std::string>>& special_tokens,
          const jinja::RenderLimits& limits);

    // What begins the assistant's turn.
    const std::string& header() const { return header_; }

    // An assistant's message. `message`: its members beside the role.
    std::optional<std::string> answer(const std::string& message) const;

    struct Call {
        std::string_view name;
        std::string_view id;
        std::string arguments;  // JSON text
    };
    std::optional<std::string> calls(const std::vector<Call>& calls, std::string_view text) const;

    // Templates differ in how they take arguments.
    enum class As : uint8_t { Object, Text };
    void give_arguments(As as) { arguments_are_text_ = as == As::Text; }

  private:
    std::optional<std::string> render(const std::string& answer, bool generation) const;

    const jinja::Template& compiled_;
    const std::vector<std::pair<std::string, std::string>>& special_tokens_;
    jinja::RenderOptions options_;
    std::string prompt_;
    std::string header_;
    bool arguments_are_text_ = false;
};

}  // namespace weir::text
