#include "text/output/derive.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "json/parse.h"
#include "text/output/json_text.h"
#include "text/output/known.h"
#include "text/output/marker.h"
#include "text/output/pieces.h"
#include "text/output/probe.h"

namespace weir::text {
namespace {

using namespace probe_words;
using Arguments = CallFormat::Arguments;
using Field = CallFormat::Field;
using Kind = CallFormat::Kind;
using KeyType = CallFormat::KeyEnd::Type;

bool is_tag(std::string_view text) {
    return text.size() > 2 && ((text.front() == '<' && text.back() == '>') ||
                               (text.front() == '[' && text.back() == ']'));
}

// The markers with which a text begins: tags one by one, and what looks like no word.
std::vector<std::string> end_markers(std::string_view text) {
    std::vector<std::string> markers;
    for (text = trim(text); !text.empty(); text = trim(text)) {
        size_t end = 0;
        while (end < text.size() && !is_space(text[end])) {
            ++end;
        }
        const std::string_view word = text.substr(0, end);
        const Pieces tags(word);
        bool all_tags = true;
        for (size_t i = 0; i < tags.size(); ++i) {
            all_tags = all_tags && is_tag(tags[i]);
        }
        if (!all_tags && (word.size() < 2 || word.find_first_of("<>[]|~") == word.npos)) {
            break;
        }
        for (size_t i = 0; all_tags && i < tags.size(); ++i) {
            markers.emplace_back(tags[i]);
        }
        if (!all_tags) {
            markers.emplace_back(word);
        }
        text.remove_prefix(end);
    }
    return markers;
}

class Derivation {
  public:
    Derivation(Probe& probe, std::string_view source) : probe_(probe), source_(source) {}

    OutputFormat run() {
        if (find_whole_format(source_, format_)) {
            if (format_.content_end.empty()) {  // else all is said
                derive_plain();
                derive_text_of_calls();
            }
            return std::move(format_);
        }
        find_reasoning(source_, format_);
        derive_plain();
        derive_reasoning();
        if (!derive_calls() && !find_calls(source_, format_.calls)) {
            format_.calls = {};
        }
        add_variants(source_, format_.calls);
        return std::move(format_);
    }

  private:
    // An answer that is text: what surrounds it, and what ends the turn.
    void derive_plain() {
        const auto plain = probe_.answer(fmt::format("\"content\": \"{}\"", kText));
        if (!plain || plain->find(kText) == plain->npos) {
            return;
        }
        before_text_ = before(*plain, kText);
        const std::string after_text(after(*plain, kText));
        for (const std::string& end : end_markers(after_text)) {
            if (end != format_.reasoning_begin && end != format_.reasoning_end) {
                format_.ends.push_back(end);
            }
        }
        if (format_.is_harmony || !format_.calls.text_name.empty()) {
            return;
        }
        const std::string begin(
            after_last(without_prefix(before_text_, probe_.header()), format_.reasoning_end));
        const std::string_view marker = trim(begin);
        const bool is_header = trim(probe_.header()).ends_with(marker);
        if (!is_header && (marker.starts_with('<') || marker.starts_with('['))) {
            format_.content_begin = marker;
            if (!format_.ends.empty()) {
                format_.content_end = format_.ends.front();
            }
        }
    }

    // Harmony's template writes a text beside calls into the channel of thoughts.
    void derive_text_of_calls() {
        const auto rendered = probe_.calls({{kName, kId, "{}"}}, kText);
        const std::string analysis = "<|channel|>analysis<|message|>" + std::string(kText);
        format_.text_of_calls_is_reasoning = rendered && rendered->find(analysis) != rendered->npos;
    }

    // A thought with an answer after it, where no mark is known.
    void derive_reasoning() {
        if (!format_.reasoning_end.empty()) {
            return;
        }
        const auto thought =
            probe_.answer(fmt::format("\"reasoning_content\": \"{0}\", \"reasoning\": \"{0}\", "
                                      "\"thinking\": \"{0}\", \"content\": \"{1}\"",
                                      kThought, kText));
        const auto gap = thought ? between(*thought, kThought, kText) : std::nullopt;
        if (!gap) {
            return;
        }
        const std::string_view known = format_.content_begin.empty()
                                           ? std::string_view(before_text_)
                                           : before(before_text_, format_.content_begin);
        const std::string begin = without_prefix(before(*thought, kThought), known);
        const std::string_view end =
            format_.content_begin.empty() ? *gap : before(*gap, format_.content_begin);
        if (trim(begin).starts_with('<') && trim(end).starts_with('<')) {
            format_.reasoning_begin = trim(begin);
            format_.reasoning_end = trim(end);
        }
    }

    // Templates differ in what they take: arguments as an object or as text, the function's name
    // from the call or from its id (Kimi).
    bool render_one_call() {
        const std::string one = fmt::format("{{\"{}\": \"{}\"}}", kKey, kValue);
        for (const bool as_text : {false, true}) {
            probe_.give_arguments(as_text ? Probe::As::Text : Probe::As::Object);
            for (const bool name_in_id : {false, true}) {
                id_ = name_in_id ? "functions.weirfn:0" : kId;
                second_id_ = name_in_id ? "functions.weirfm:1" : kSecondId;
                call_ = probe_.calls({{kName, id_, one}}, "").value_or("");
                if (between(call_, kName, kKey) && between(call_, kKey, kValue)) {
                    return true;
                }
            }
        }
        return false;
    }

    bool derive_calls() {
        if (!render_one_call()) {
            return false;
        }
        begin_ = call_begin();
        if (derive_json()) {
            return true;
        }
        const std::string_view to_key = *between(call_, kName, kKey);
        if (trim(to_key).ends_with("{\"") || trim(to_key).ends_with("{ \"")) {
            return derive_named_json();
        }
        if (to_key == "(") {
            return derive_python();
        }
        return derive_tagged();
    }

    // What stands before the name in an answer that has nothing but a call.
    std::string call_begin() const {
        const std::string one = fmt::format("{{\"{}\": \"{}\"}}", kKey, kValue);
        const auto with_text = probe_.calls({{kName, id_, one}}, kText);
        if (with_text) {
            if (const auto gap = between(*with_text, kText, kName)) {
                const std::string_view begin = after_last(*gap, format_.content_end);
                if (!trim(begin).empty()) {
                    return std::string(trim(begin));
                }
            }
        }
        const std::string rest = without_prefix(before(call_, kName), before_text_);
        return std::string(trim(after_last(rest, format_.reasoning_end)));
    }

    // `text` up to where the turn ends.
    std::string_view before_end(std::string_view text) const {
        size_t end = text.size();
        for (const std::string& marker : format_.ends) {
            end = std::min(end, text.find(marker));
        }
        return trim(text.substr(0, end));
    }

    // {"name": "weirfn", "arguments": {…}}, perhaps in a list.
    bool derive_json() {
        for (size_t at = call_.find('{'); at < call_.find(kName); at = call_.find('{', at + 1)) {
            JsonCursor cursor;
            size_t end = at;
            while (end < call_.size() && !cursor.feed(call_[end])) {
                ++end;
            }
            const std::string_view text = std::string_view(call_).substr(at, end + 1 - at);
            const auto object = json::parse(text);
            if (end < call_.size() && object && take_keys(*object->if_object())) {
                take_json_markers(end + 1);
                return true;
            }
        }
        return false;
    }

    bool take_keys(const json::Object& object) {
        CallFormat& calls = format_.calls;
        for (const auto& [key, value] : object) {
            const std::string* text = value.if_string();
            if (text != nullptr && *text == kName) {
                calls.name_key = key;
            } else if (key == kName) {
                calls.name_is_key = true;
            } else if (value.if_object() != nullptr && value.if_object()->find(kKey) != nullptr) {
                calls.arguments_key = key;
            } else if (key == "function" && value.if_object() != nullptr) {
                return take_keys(*value.if_object());
            }
        }
        const bool found = !calls.name_key.empty() || calls.name_is_key;
        calls.kind = found ? Kind::Json : Kind::None;
        return found;
    }

    // `end`: of the call's object in call_.
    void take_json_markers(size_t end) {
        CallFormat& calls = format_.calls;
        const size_t brace = begin_.rfind('{');
        std::string_view left =
            trim(std::string_view(begin_).substr(0, brace == begin_.npos ? 0 : brace));
        // {"type": "function", "function": {"name": … begins with the outer one.
        const size_t outer = left.find('{');
        left = trim(left.substr(0, outer));
        while (left.ends_with('[')) {
            left = trim(left.substr(0, left.size() - 1));
        }
        std::string_view right = before_end(std::string_view(call_).substr(end));
        while (right.starts_with(']')) {
            right = trim(right.substr(1));
        }
        calls.section_begin = left;
        calls.section_end = right;
        calls.bare = left.empty();
    }

    // What stands from the end of one call to the name of the next.
    std::optional<std::string> gap_to_second(size_t first_end_from) const {
        const std::string arguments = fmt::format("{{\"{}\": \"{}\"}}", kKey, kValue);
        const auto two =
            probe_.calls({{kName, id_, arguments}, {kSecondName, second_id_, arguments}}, "");
        if (!two || two->find(kSecondName) == two->npos) {
            return std::nullopt;
        }
        const size_t first = two->find(kName);
        const size_t value = two->find(kValue, first);
        const size_t second = two->find(kSecondName);
        if (value == two->npos || value > second) {
            return std::nullopt;
        }
        const size_t begin = value + kValue.size() + first_end_from;
        return begin > second ? std::nullopt : std::optional(two->substr(begin, second - begin));
    }

    // Cuts what stands before the first name into what begins all calls and what begins each one,
    // and what stands after the last likewise, by what stands between two.
    void take_call_markers(std::string_view end, const std::optional<std::string>& gap) {
        CallFormat& calls = format_.calls;
        const std::string last(before_end(end));
        const Pieces first(begin_);
        const Pieces ending(last);
        if (!gap) {
            calls.call_begin = begin_;
            calls.call_end = last;
            return;
        }
        const Pieces middle(*gap);
        const size_t begins = common_suffix(first, middle);
        const size_t ends = common_prefix(ending, middle);
        calls.call_begin = first.text(first.size() - begins, first.size());
        calls.section_begin = first.text(0, first.size() - begins);
        calls.call_end = ending.text(0, ends);
        calls.section_end = ending.text(ends, ending.size());
        if (calls.section_begin.empty() && !calls.section_end.empty()) {
            format_.ends.push_back(std::exchange(calls.section_end, {}));  // of the turn, then
        }
        split_outer_tag();
    }

    // Where each call has a tag of its own around it, models put several calls into one, or forget
    // it: <tool_call> <function=f> … </function> </tool_call>.
    void split_outer_tag() {
        CallFormat& calls = format_.calls;
        const std::string begin = calls.call_begin;
        const std::string end = calls.call_end;
        const Pieces first(begin);
        const Pieces last(end);
        if (!calls.section_begin.empty() || first.size() < 2 || last.size() < 2) {
            return;
        }
        const std::string_view outer = first[0];
        const bool matches = is_tag(outer) && outer.front() == '<' &&
                             last[last.size() - 1] == "</" + std::string(outer.substr(1));
        if (matches) {
            calls.section_begin = outer;
            calls.section_end = last[last.size() - 1];
            calls.call_begin = first.text(1, first.size());
            calls.call_end = last.text(0, last.size() - 1);
        }
    }

    // The call's id may stand before its name or after it.
    void take_fields(std::string_view name_end) {
        CallFormat& calls = format_.calls;
        calls.fields.clear();
        const size_t id_before = begin_.find(id_);
        if (id_before != begin_.npos && id_ == kId) {
            const std::string to_name = begin_.substr(id_before + id_.size());
            begin_ = begin_.substr(0, id_before);
            calls.fields.push_back({Field::Id, std::string(trim(to_name))});
        }
        std::string_view rest = name_end;
        if (rest.size() > 2 && rest[0] == ':' && rest[1] >= '0' && rest[1] <= '9') {
            calls.name_has_index = true;
            rest.remove_prefix(2);
            if (begin_.ends_with("functions.")) {
                begin_.erase(begin_.size() - 10);
            }
        }
        const size_t id_after = rest.find(kId);
        if (id_after != rest.npos) {
            calls.fields.push_back({Field::Name, std::string(trim(rest.substr(0, id_after)))});
            calls.fields.push_back(
                {Field::Id, std::string(trim(rest.substr(id_after + kId.size())))});
            return;
        }
        const bool is_space_only = trim(rest).empty() && !rest.empty();
        calls.fields.push_back(
            {Field::Name, is_space_only ? std::string() : std::string(trim(rest))});
    }

    bool derive_named_json() {
        CallFormat& calls = format_.calls;
        const std::string_view to_key = *between(call_, kName, kKey);
        const std::string name_end(to_key.substr(0, to_key.rfind('{')));
        const std::string_view tail = after(call_, kValue);  // "}…
        const size_t close = tail.find('}');
        if (close == tail.npos || trim(name_end).empty()) {
            return false;
        }
        const std::optional<std::string> gap = gap_to_second(close + 1);
        calls.kind = Kind::Named;
        calls.arguments = Arguments::Json;
        take_fields(name_end);
        take_call_markers(tail.substr(close + 1), without_id(gap));
        return !calls.call_begin.empty();
    }

    // A second call's id is no marker: what stands before it is.
    std::optional<std::string> without_id(std::optional<std::string> gap) const {
        if (gap && format_.calls.fields.front().field == Field::Id) {
            gap = std::string(before(*gap, second_id_));
        }
        if (gap && format_.calls.name_has_index && gap->ends_with("functions.")) {
            gap->erase(gap->size() - 10);
        }
        return gap;
    }

    // f(a="x"), perhaps in a list.
    bool derive_python() {
        CallFormat& calls = format_.calls;
        std::string_view left = begin_;
        while (left.ends_with('[')) {
            left = trim(left.substr(0, left.size() - 1));
        }
        const std::string_view tail = after(call_, kValue);
        const size_t close = tail.find(')');
        if (close == tail.npos) {
            return false;
        }
        std::string_view right = before_end(tail.substr(close + 1));
        while (right.starts_with(']')) {
            right = trim(right.substr(1));
        }
        calls.kind = Kind::Named;
        calls.arguments = Arguments::Python;
        calls.fields = {{Field::Name, "("}};
        calls.section_begin = left;
        calls.section_end = right;
        calls.bare = left.empty();
        return true;
    }

    // Each parameter in tags of its own; Gemma's quotes look alike from here.
    bool derive_tagged() {
        CallFormat& calls = format_.calls;
        const std::string two = fmt::format("{{\"{}\": \"{}\", \"{}\": \"{}\"}}", kKey, kValue,
                                            kSecondKey, kSecondValue);
        const auto parameters = probe_.calls({{kName, id_, two}}, "");
        const auto gap = parameters ? between(*parameters, kValue, kSecondKey) : std::nullopt;
        if (!gap || begin_.empty()) {
            return false;
        }
        const std::string to_key(*between(call_, kName, kKey));
        const std::string to_value(*between(call_, kKey, kValue));
        const bool is_quoted = trim(to_key) == "{" && to_value.starts_with(':');
        if (is_quoted) {
            return derive_quoted(to_value.substr(1));
        }
        const Pieces first(to_key);
        const Pieces middle(*gap);
        const size_t begins = common_suffix(first, middle);
        calls.parameter_begin = first.text(first.size() - begins, first.size());
        calls.value_end = middle.text(0, middle.size() - begins);
        if (calls.parameter_begin.empty() || calls.value_end.empty() ||
            calls.value_end.find(kKey) != calls.value_end.npos) {  // <key>…</key>: no fixed marker
            return false;
        }
        calls.kind = Kind::Named;
        calls.arguments = Arguments::Tagged;
        calls.value_padded = to_value.ends_with('\n') && gap->starts_with('\n');
        take_fields(first.text(0, first.size() - begins));
        take_key_ends(to_value);
        const std::string_view tail = after(call_, kValue);
        const size_t value_end = tail.find(calls.value_end);
        if (value_end == tail.npos) {
            return false;
        }
        const size_t skipped = value_end + calls.value_end.size();
        take_call_markers(tail.substr(skipped), without_id(gap_to_second(skipped)));
        return !calls.call_begin.empty() && !calls.call_end.empty();
    }

    // Some formats say beside the key whether the value is a string.
    void take_key_ends(const std::string& of_string) {
        CallFormat& calls = format_.calls;
        const auto number =
            probe_.calls({{kName, id_, fmt::format("{{\"{}\": {}}}", kKey, kNumber)}}, "");
        const auto of_number = number ? between(*number, kKey, kNumber) : std::nullopt;
        if (of_number && trim(*of_number) != trim(of_string)) {
            calls.key_ends = {{std::string(trim(of_string)), KeyType::String},
                              {std::string(trim(*of_number)), KeyType::Json}};
            return;
        }
        calls.key_ends = {{of_string, KeyType::BySchema}};
        if (source_.find(CallFormat::kRawBegin) != source_.npos) {
            calls.key_ends.push_back(
                {of_string + std::string(CallFormat::kRawBegin), KeyType::BySchema});
        }
    }

    bool derive_quoted(std::string quote) {
        CallFormat& calls = format_.calls;
        const std::string_view tail = after(call_, kValue);
        const size_t close = tail.find('}');
        if (quote.empty() || !tail.starts_with(quote) || close == tail.npos) {
            return false;
        }
        calls.kind = Kind::Named;
        calls.arguments = Arguments::Quoted;
        calls.quote = std::move(quote);
        calls.fields = {{Field::Name, "{"}};
        take_call_markers(tail.substr(close + 1), gap_to_second(close + 1));
        return !calls.call_begin.empty();
    }

    Probe& probe_;
    std::string_view source_;
    OutputFormat format_;
    std::string before_text_;  // in an answer that is text
    std::string call_;         // an answer that is one call
    std::string begin_;        // what stands before its name
    std::string id_;
    std::string second_id_;
};

}  // namespace

OutputFormat find_output_format(
    const jinja::Template& compiled, std::string_view source,
    const std::vector<std::pair<std::string, std::string>>& special_tokens,
    const jinja::RenderLimits& limits) {
    Probe probe(compiled, special_tokens, limits);
    return Derivation(probe, source).run();
}

}  // namespace weir::text
