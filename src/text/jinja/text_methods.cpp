// str's methods: cutting, searching and joining. Every piece keeps its marks.
// One table of many short functions, most of them three lines: longer than most files, one thing.

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/builtins.h"
#include "text/jinja/data_model.h"
#include "text/unicode.h"

namespace weir::text::jinja {
namespace {

Outcome<void> charge_search(Runtime& rt, const Value& self) {
    return rt.charge_bytes(self.bytes().size());
}

template <Side side>
Outcome<Value> strip(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("strip", args, {"chars"}));
    WEIR_TRY(charge_search(rt, self));
    std::optional<std::string_view> characters;
    if (bound.has(0) && !bound[0].is_none()) {
        WEIR_TRY_ASSIGN(const Value chars, bound.str(rt, 0, ""));
        characters = chars.bytes();
        WEIR_TRY(rt.charge(1 + self.bytes().size() / 64 * chars.bytes().size()));
    }
    const auto [from, to] = strip_range(self.bytes(), side, characters);
    return rt.slice(self, from, to);
}

template <CaseMap map>
Outcome<Value> case_method(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY(Bound::bind("case", args, {}));
    return map_case(rt, self, map);
}

// --- Splitting.

// The pieces of a text as byte ranges, from the left. Each becomes a text of the heap, which is
// more than its range: where there is no room for those there is none for more ranges either.
class Pieces {
  public:
    explicit Pieces(Runtime& rt) : rt_(rt) {}

    Outcome<void> add(size_t from, size_t to) {
        ranges_.emplace_back(from, to);
        return rt_.reserve(ranges_.size() * kPieceBytes);
    }
    size_t size() const { return ranges_.size(); }

    // Joins the first `count` to one that begins at the text's beginning.
    void join_first(size_t count) {
        ranges_[count - 1].first = 0;
        ranges_.erase(ranges_.begin(), ranges_.begin() + static_cast<ptrdiff_t>(count - 1));
    }
    void reverse() { std::reverse(ranges_.begin(), ranges_.end()); }

    Outcome<Value> to_list(const Value& self) const {
        std::vector<Value> items;
        items.reserve(ranges_.size());
        for (const auto& [from, to] : ranges_) {
            WEIR_TRY(rt_.charge());
            items.push_back(rt_.slice(self, from, to));
        }
        return rt_.list(std::move(items));
    }

  private:
    static constexpr size_t kPieceBytes = sizeof(Str) + sizeof(Value);

    Runtime& rt_;
    std::vector<std::pair<size_t, size_t>> ranges_;
};

size_t limit_of(Whole maxsplit) {
    return maxsplit < 0 ? SIZE_MAX : static_cast<size_t>(maxsplit);
}

Outcome<void> split_space(std::string_view text, size_t splits_max, Pieces& pieces) {
    size_t at = strip_range(text, Side::Left, std::nullopt).first;
    while (at < text.size()) {
        if (pieces.size() == splits_max) {
            return pieces.add(at, text.size());
        }
        size_t end = at;
        while (end < text.size() && !is_space(utf8::decode(text, end).code_point)) {
            end += character_bytes(text, end);
        }
        WEIR_TRY(pieces.add(at, end));
        at = end + strip_range(text.substr(end), Side::Left, std::nullopt).first;
    }
    return {};
}

Outcome<void> rsplit_space(std::string_view text, size_t splits_max, Pieces& pieces) {
    WEIR_TRY(split_space(text, SIZE_MAX, pieces));
    if (pieces.size() > splits_max) {  // the first ones stay together, with what is between them
        pieces.join_first(pieces.size() - splits_max);
    }
    return {};
}

// Between occurrences that do not overlap, from the left.
Outcome<void> split_at(std::string_view text, std::string_view wanted, size_t splits_max,
                       Pieces& pieces) {
    size_t from = 0;
    while (pieces.size() < splits_max) {
        const size_t at = find_bytes(text, wanted, from);
        if (at == text.npos) {
            break;
        }
        WEIR_TRY(pieces.add(from, at));
        from = at + wanted.size();
    }
    return pieces.add(from, text.size());
}

// From the right: what overlaps is counted from there.
Outcome<void> rsplit_at(std::string_view text, std::string_view wanted, size_t splits_max,
                        Pieces& pieces) {
    size_t end = text.size();
    while (pieces.size() < splits_max && end >= wanted.size()) {
        const size_t at = text.substr(0, end).rfind(wanted);
        if (at == text.npos) {
            break;
        }
        WEIR_TRY(pieces.add(at + wanted.size(), end));
        end = at;
    }
    WEIR_TRY(pieces.add(0, end));
    pieces.reverse();
    return {};
}

template <Side side>
Outcome<Value> split(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("split", args, {"sep", "maxsplit"}));
    WEIR_TRY_ASSIGN(const Whole maxsplit, bound.integer(1, -1));
    WEIR_TRY(charge_search(rt, self));
    const std::string_view text = self.bytes();
    const size_t splits_max = limit_of(maxsplit);
    Pieces pieces(rt);
    if (!bound.has(0) || bound[0].is_none()) {
        WEIR_TRY(side == Side::Left ? split_space(text, splits_max, pieces)
                                    : rsplit_space(text, splits_max, pieces));
        return pieces.to_list(self);
    }
    WEIR_TRY_ASSIGN(const Value separator, bound.str(rt, 0, ""));
    const std::string_view wanted = separator.bytes();
    if (wanted.empty()) {
        return raise("empty separator");
    }
    if (side == Side::Right) {  // its search is not linear
        WEIR_TRY(rt.charge(text.size() / 64 * (1 + wanted.size() / 64)));
    }
    WEIR_TRY(side == Side::Left ? split_at(text, wanted, splits_max, pieces)
                                : rsplit_at(text, wanted, splits_max, pieces));
    return pieces.to_list(self);
}

// The bytes of the line break at `at`, or 0.
size_t line_break(std::string_view text, size_t at) {
    if (text.substr(at).starts_with("\r\n")) {
        return 2;
    }
    const utf8::Decoded next = utf8::decode(text, at);
    const char32_t c = next.code_point;
    const bool breaks = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                        c == 0x2028 || c == 0x2029;
    return breaks ? next.bytes : 0;
}

Outcome<Value> splitlines(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("splitlines", args, {"keepends"}));
    WEIR_TRY(charge_search(rt, self));
    const std::string_view text = self.bytes();
    Pieces pieces(rt);
    size_t from = 0;
    for (size_t at = 0; at < text.size();) {
        const size_t end = line_break(text, at);
        if (end == 0) {
            at += character_bytes(text, at);
            continue;
        }
        WEIR_TRY(pieces.add(from, bound.flag(0, false) ? at + end : at));
        at += end;
        from = at;
    }
    if (from < text.size()) {
        WEIR_TRY(pieces.add(from, text.size()));
    }
    return pieces.to_list(self);
}

template <Side side>
Outcome<Value> partition(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("partition", args, {"sep"}, 1));
    WEIR_TRY_ASSIGN(const Value separator, bound.str(rt, 0, ""));
    WEIR_TRY(charge_search(rt, self));
    const std::string& text = self.bytes();
    const std::string& wanted = separator.bytes();
    if (wanted.empty()) {
        return raise("empty separator");
    }
    WEIR_TRY(rt.charge(text.size() / 64 * (1 + wanted.size() / 64)));
    const size_t at = side == Side::Left ? find_bytes(text, wanted, 0) : text.rfind(wanted);
    if (at == std::string::npos) {
        const Value empty = rt.text("");
        return side == Side::Left ? rt.tuple({self, empty, empty}) : rt.tuple({empty, empty, self});
    }
    return rt.tuple({rt.slice(self, 0, at), rt.slice(self, at, at + wanted.size()),
                     rt.slice(self, at + wanted.size(), text.size())});
}

// --- Searching. Positions are characters outside and bytes inside.

// The part of `self` that `start` and `stop` choose; nothing if start is past the end.
struct Window {
    size_t from;
    size_t to;
    bool valid;
};

Outcome<Window> window(const Value& self, const Bound& bound, size_t first) {
    const std::string& text = self.bytes();
    if (!bound.has(first) && !bound.has(first + 1)) {
        return Window{0, text.size(), true};
    }
    const auto count = static_cast<Whole>(count_characters(text));
    const auto resolve = [&](size_t i, Whole otherwise) -> Outcome<Whole> {
        if (!bound.has(i) || bound[i].is_none()) {
            return otherwise;
        }
        WEIR_TRY_ASSIGN(const Whole index, bound.integer(i, otherwise));
        return index < 0 ? std::max<Whole>(0, index + count) : index;
    };
    WEIR_TRY_ASSIGN(const Whole start, resolve(first, 0));
    WEIR_TRY_ASSIGN(const Whole stop, resolve(first + 1, count));
    const Whole end = std::min(stop, count);
    if (start > end) {
        return Window{0, 0, false};
    }
    return Window{byte_of_character(text, static_cast<size_t>(start)),
                  byte_of_character(text, static_cast<size_t>(end)), true};
}

template <Side side>
Outcome<std::optional<size_t>> search(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("find", args, {"sub", "start", "end"}, 1));
    WEIR_TRY_ASSIGN(const Value wanted, bound.str(rt, 0, ""));
    WEIR_TRY(charge_search(rt, self));
    WEIR_TRY(rt.charge(self.bytes().size() / 64 * (1 + wanted.bytes().size() / 64)));
    WEIR_TRY_ASSIGN(const Window part, window(self, bound, 1));
    const auto text = std::string_view(self.bytes()).substr(part.from, part.to - part.from);
    const size_t at =
        side == Side::Left ? find_bytes(text, wanted.bytes(), 0) : text.rfind(wanted.bytes());
    if (at == text.npos || !part.valid) {
        return std::nullopt;
    }
    return count_characters(std::string_view(self.bytes()).substr(0, part.from + at));
}

template <Side side>
Outcome<Value> find(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const auto at, search<side>(rt, self, args));
    return Value::integer(at ? static_cast<Whole>(*at) : -1);
}

template <Side side>
Outcome<Value> index(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const auto at, search<side>(rt, self, args));
    if (!at) {
        return raise("substring not found");
    }
    return Value::integer(static_cast<Whole>(*at));
}

Outcome<Value> count(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("count", args, {"sub", "start", "end"}, 1));
    WEIR_TRY_ASSIGN(const Value wanted, bound.str(rt, 0, ""));
    WEIR_TRY(charge_search(rt, self));
    WEIR_TRY_ASSIGN(const Window part, window(self, bound, 1));
    const auto text = std::string_view(self.bytes()).substr(part.from, part.to - part.from);
    if (!part.valid) {
        return Value::integer(0);
    }
    if (wanted.bytes().empty()) {
        return Value::integer(static_cast<Whole>(count_characters(text)) + 1);
    }
    Whole found = 0;
    for (size_t at = find_bytes(text, wanted.bytes(), 0); at != text.npos;
         at = find_bytes(text, wanted.bytes(), at + wanted.bytes().size())) {
        ++found;
    }
    return Value::integer(found);
}

template <Side side>
Outcome<Value> has_affix(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("startswith", args, {"fix", "start", "end"}, 1));
    WEIR_TRY_ASSIGN(const Window part, window(self, bound, 1));
    std::vector<Value> affixes = {bound[0]};
    if (bound[0].is(Kind::Tuple)) {
        affixes = bound[0].items();
    }
    const auto text = std::string_view(self.bytes()).substr(part.from, part.to - part.from);
    for (const Value& affix : affixes) {
        if (!affix.is_str()) {
            return type_error("the argument must be str or a tuple of str", affix);
        }
        WEIR_TRY(rt.charge_bytes(affix.bytes().size()));
        if (part.valid && (side == Side::Left ? text.starts_with(affix.bytes())
                                              : text.ends_with(affix.bytes()))) {
            return Value::boolean(true);
        }
    }
    return Value::boolean(false);
}

template <Side side>
Outcome<Value> remove_affix(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("removeprefix", args, {"fix"}, 1));
    WEIR_TRY_ASSIGN(const Value affix, bound.str(rt, 0, ""));
    WEIR_TRY(charge_search(rt, self));
    const std::string& text = self.bytes();
    const size_t bytes = affix.bytes().size();
    if (side == Side::Left && text.starts_with(affix.bytes())) {
        return rt.slice(self, bytes, text.size());
    }
    if (side == Side::Right && text.ends_with(affix.bytes())) {
        return rt.slice(self, 0, text.size() - bytes);
    }
    return self;
}

// --- Putting together.

Outcome<Value> replace(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("replace", args, {"old", "new", "count"}, 2));
    WEIR_TRY_ASSIGN(const Value from, bound.str(rt, 0, ""));
    WEIR_TRY_ASSIGN(const Value to, bound.str(rt, 1, ""));
    WEIR_TRY_ASSIGN(const Whole times, bound.integer(2, -1));
    return replace_text(rt, self, from, to, times < 0 ? std::nullopt : std::optional(times));
}

Outcome<Value> join(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("join", args, {"iterable"}, 1));
    WEIR_TRY_ASSIGN(const std::vector<Value> items, to_vector(rt, bound[0]));
    for (const Value& item : items) {
        if (!item.is_str()) {
            return type_error("only strings can be joined", item);
        }
    }
    return join_text(rt, self, items);
}

Outcome<Value> format(Runtime& rt, const Value& self, const Args& args) {
    return format_braces(rt, self, args);
}

// What is added is the engine's, so it is data.
template <Side side>
Outcome<Value> justify(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("justify", args, {"width", "fillchar"}, 1));
    WEIR_TRY_ASSIGN(const Whole width, bound.integer(0, 0));
    WEIR_TRY_ASSIGN(const Value filler, bound.str(rt, 1, " "));
    WEIR_TRY(charge_search(rt, self));
    if (count_characters(filler.bytes()) != 1) {
        return raise("the fill character must be exactly one character long");
    }
    const Whole missing = width - static_cast<Whole>(count_characters(self.bytes()));
    if (missing <= 0) {
        return self;
    }
    const auto total = static_cast<size_t>(missing);
    const size_t left = side == Side::Left ? 0
                        : side == Side::Right
                            ? total
                            : total / 2 + (total & static_cast<size_t>(width) & 1);
    TextBuilder out(rt);
    out.fill(filler.bytes(), left, Trust::Data);
    out.append(self.text());
    out.fill(filler.bytes(), total - left, Trust::Data);
    return out.finish(self.str().markup);
}

Outcome<Value> zfill(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("zfill", args, {"width"}, 1));
    WEIR_TRY_ASSIGN(const Whole width, bound.integer(0, 0));
    WEIR_TRY(charge_search(rt, self));
    const std::string& text = self.bytes();
    const Whole missing = width - static_cast<Whole>(count_characters(text));
    if (missing <= 0) {
        return self;
    }
    const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
    TextBuilder out(rt);
    out.append(self.text(), 0, sign);
    out.fill("0", static_cast<size_t>(missing), Trust::Data);
    out.append(self.text(), sign, text.size());
    return out.finish(self.str().markup);
}

Outcome<Value> expandtabs(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const Bound bound, Bound::bind("expandtabs", args, {"tabsize"}));
    WEIR_TRY_ASSIGN(const Whole size, bound.integer(0, 8));
    WEIR_TRY(charge_search(rt, self));
    const std::string& text = self.bytes();
    TextBuilder out(rt);
    Whole column = 0;
    for (size_t at = 0; at < text.size();) {
        const size_t bytes = character_bytes(text, at);
        if (text[at] == '\t') {
            const Whole width = size > 0 ? size - column % size : 0;
            out.fill(" ", static_cast<size_t>(width), Trust::Data);
            column += width;
        } else {
            out.append(self.text(), at, at + bytes);
            column = text[at] == '\n' || text[at] == '\r' ? 0 : column + 1;
        }
        at += bytes;
    }
    return out.finish(self.str().markup);
}

// --- Asking about every character.

template <bool (*accepts)(char32_t)>
Outcome<Value> all_characters(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY(Bound::bind("is", args, {}));
    WEIR_TRY(charge_search(rt, self));
    const std::string& text = self.bytes();
    for (size_t at = 0; at < text.size();) {
        const utf8::Decoded next = utf8::decode(text, at);
        if (!accepts(next.code_point)) {
            return Value::boolean(false);
        }
        at += next.bytes;
    }
    return Value::boolean(!text.empty());
}

bool is_letter(char32_t c) {
    return (CharTable::get().of(c) & kLetter) != 0;
}
// Our table does not split decimal digits from other numbers: superscripts count as digits too.
bool is_number(char32_t c) {
    return (CharTable::get().of(c) & kNumber) != 0;
}
bool is_alphanumeric(char32_t c) {
    return is_letter(c) || is_number(c);
}

Outcome<Value> is_ascii(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY(Bound::bind("isascii", args, {}));
    WEIR_TRY(charge_search(rt, self));
    return Value::boolean(std::all_of(self.bytes().begin(), self.bytes().end(),
                                      [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

template <const char* const& name>
Outcome<Value> ask_test(Runtime& rt, const Value& self, const Args& args) {
    WEIR_TRY_ASSIGN(const bool answer, find_test(name)->call(rt, self, args));
    return Value::boolean(answer);
}
constexpr const char* kLowerTest = "lower";
constexpr const char* kUpperTest = "upper";

constexpr Native kMethods[] = {
    {"strip", strip<Side::Both>},
    {"lstrip", strip<Side::Left>},
    {"rstrip", strip<Side::Right>},
    {"split", split<Side::Left>},
    {"rsplit", split<Side::Right>},
    {"splitlines", splitlines},
    {"partition", partition<Side::Left>},
    {"rpartition", partition<Side::Right>},
    {"startswith", has_affix<Side::Left>},
    {"endswith", has_affix<Side::Right>},
    {"removeprefix", remove_affix<Side::Left>},
    {"removesuffix", remove_affix<Side::Right>},
    {"replace", replace},
    {"join", join},
    {"format", format},
    {"find", find<Side::Left>},
    {"rfind", find<Side::Right>},
    {"index", index<Side::Left>},
    {"rindex", index<Side::Right>},
    {"count", count},
    {"upper", case_method<CaseMap::Upper>},
    {"lower", case_method<CaseMap::Lower>},
    {"casefold", case_method<CaseMap::Lower>},
    {"title", case_method<CaseMap::Title>},
    {"capitalize", case_method<CaseMap::Capitalize>},
    {"swapcase", case_method<CaseMap::Swap>},
    {"ljust", justify<Side::Left>},
    {"rjust", justify<Side::Right>},
    {"center", justify<Side::Both>},
    {"zfill", zfill},
    {"expandtabs", expandtabs},
    {"isspace", all_characters<is_space>},
    {"isalpha", all_characters<is_letter>},
    {"isdigit", all_characters<is_number>},
    {"isdecimal", all_characters<is_number>},
    {"isnumeric", all_characters<is_number>},
    {"isalnum", all_characters<is_alphanumeric>},
    {"isprintable", all_characters<is_printable>},
    {"isascii", is_ascii},
    {"islower", ask_test<kLowerTest>},
    {"isupper", ask_test<kUpperTest>},
};

}  // namespace

Outcome<Value> replace_text(Runtime& rt, const Value& text, const Value& from, const Value& to,
                            std::optional<Whole> times) {
    const std::string& bytes = text.bytes();
    const std::string& wanted = from.bytes();
    WEIR_TRY(rt.charge_bytes(bytes.size()));
    const size_t max = times ? static_cast<size_t>(*times) : SIZE_MAX;
    TextBuilder out(rt);
    size_t done = 0;
    if (wanted.empty()) {  // between all characters, and at both ends
        for (size_t at = 0; done < max && at <= bytes.size(); ++done) {
            const size_t next = at + std::max<size_t>(1, character_bytes(bytes, at));
            out.append(to.text());
            out.append(text.text(), at, std::min(next, bytes.size()));
            WEIR_TRY(rt.charge());
            at = next;
        }
        const size_t copied = std::min(byte_of_character(bytes, done), bytes.size());
        out.append(text.text(), copied, bytes.size());
        return out.finish(text.str().markup);
    }
    size_t from_byte = 0;
    for (; done < max; ++done) {
        const size_t at = find_bytes(bytes, wanted, from_byte);
        if (at == std::string::npos) {
            break;
        }
        WEIR_TRY(rt.charge());
        WEIR_TRY(out.check());
        out.append(text.text(), from_byte, at);
        out.append(to.text());
        from_byte = at + wanted.size();
    }
    out.append(text.text(), from_byte, bytes.size());
    return out.finish(text.str().markup);
}

Outcome<Value> join_text(Runtime& rt, const Value& separator, const std::vector<Value>& items) {
    TextBuilder out(rt);
    bool first = true;
    for (const Value& item : items) {
        if (!first) {
            out.append(separator.text());
        }
        first = false;
        WEIR_TRY(rt.charge());
        WEIR_TRY(append_str(rt, item, out));
    }
    return out.finish(separator.str().markup);
}

const Native* find_text_method(std::string_view name) {
    const auto found = std::find_if(std::begin(kMethods), std::end(kMethods),
                                    [name](const Native& method) { return method.name == name; });
    return found == std::end(kMethods) ? nullptr : found;
}

}  // namespace weir::text::jinja
