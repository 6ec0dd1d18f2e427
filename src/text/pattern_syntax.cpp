#include "text/pattern_syntax.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/utf8.h"

// The whole syntax in one class, long as it is: a recursive descent whose rules call each other and
// share one place in the pattern, from alternatives down to what stands inside brackets.
namespace weir::text {
namespace {

using Kind = PatternNode::Kind;

constexpr size_t kPatternBytesMax = size_t{1} << 14;
constexpr int kNestingMax = 32;  // of groups, and of repeats around each: the tree is walked
constexpr size_t kSetsMax = 64;  // the automaton keeps a bit for each
constexpr uint32_t kRepeatsMax = 1024;

// \w as Oniguruma has it: without the joiners, with the superscript digits and the fractions.
CodePointSet word_set() {
    return CodePointSet::of_class(kLetter | kMark)
        .united(CodePointSet::of_set(CharSet::WordExtras))
        .united(CodePointSet::of(0xB2, 0xB3))
        .united(CodePointSet::of(0xB9, 0xB9))
        .united(CodePointSet::of(0xBC, 0xBE))
        .without(CodePointSet::of(0x200C, 0x200D));
}

struct NamedClass {
    std::string_view name;
    CharClass char_class;
};
constexpr NamedClass kClassNames[] = {
    {"L", kLetter},
    {"Letter", kLetter},
    {"Ll", kLower},
    {"M", kMark},
    {"Mark", kMark},
    {"N", kNumber},
    {"Number", kNumber},
    {"P", kPunctuation},
    {"S", kSymbol},
    {"Symbol", kSymbol},
    {"Punct", kPunctuation | kSymbol},
};

// The four categories of which the character table keeps only pairs: Lu with Lt, Lm with Lo. All
// known patterns have both of a pair in the same class.
struct Halves {
    bool upper = false;
    bool title = false;
    bool modifier = false;
    bool other = false;
};

class Parser {
  public:
    explicit Parser(std::string_view pattern) : text_(pattern) {}

    Result<PatternSyntax> parse() {
        if (text_.size() > kPatternBytesMax || !utf8::is_valid(text_)) {
            return data_corrupt("a pattern is too long or no UTF-8");
        }
        WEIR_TRY_ASSIGN(syntax_.root, alternatives(0));
        if (at_ < text_.size()) {
            return data_corrupt("a pattern has a ')' too many");
        }
        return std::move(syntax_);
    }

  private:
    bool ends() const { return at_ >= text_.size(); }
    bool accept(std::string_view wanted) {
        if (!text_.substr(std::min(at_, text_.size())).starts_with(wanted)) {
            return false;
        }
        at_ += wanted.size();
        return true;
    }
    char32_t take() {
        const utf8::Decoded next = utf8::decode(text_, at_);
        at_ += next.bytes;
        return next.code_point;
    }
    std::unexpected<Error> not_known(std::string_view what) const {
        return unsupported("the pattern's {} at byte {} is not supported", what, at_);
    }

    Result<PatternNode> set_node(const CodePointSet& set, Kind kind = Kind::Set) {
        auto found = std::ranges::find(syntax_.sets, set);
        if (found == syntax_.sets.end()) {
            if (syntax_.sets.size() == kSetsMax) {
                return unsupported("the pattern has more than {} classes", kSetsMax);
            }
            found = syntax_.sets.insert(found, set);
        }
        PatternNode node;
        node.kind = kind;
        node.set = static_cast<uint32_t>(found - syntax_.sets.begin());
        return node;
    }

    Result<PatternNode> alternatives(int depth) {
        if (depth > kNestingMax) {
            return not_known("nesting");
        }
        PatternNode node;
        node.kind = Kind::Alternatives;
        do {
            WEIR_TRY_ASSIGN(PatternNode branch, sequence(depth));
            node.children.push_back(std::move(branch));
        } while (accept("|"));
        return node;
    }

    Result<PatternNode> sequence(int depth) {
        PatternNode node;
        while (!ends() && text_[at_] != '|' && text_[at_] != ')') {
            WEIR_TRY_ASSIGN(PatternNode item, atom(depth));
            WEIR_TRY_ASSIGN(item, repeats(std::move(item)));
            node.children.push_back(std::move(item));
        }
        return node;
    }

    Result<PatternNode> atom(int depth) {
        if (accept("(")) {
            return group(depth);
        }
        if (accept("[")) {
            Halves halves;
            WEIR_TRY_ASSIGN(const CodePointSet set, char_class(depth, halves));
            return set_node(set);
        }
        if (accept("\\z")) {
            PatternNode node;
            node.kind = Kind::LookAhead;
            node.at_end = true;
            WEIR_TRY_ASSIGN(node.set, index_of({}));
            return node;
        }
        if (accept("\\")) {
            Halves halves;
            WEIR_TRY_ASSIGN(const CodePointSet set, escape(halves));
            WEIR_TRY(check(halves));
            return set_node(set);
        }
        if (accept(".")) {
            return set_node(CodePointSet::of(U'\n', U'\n').complement());
        }
        if (accept("$")) {  // in Ruby's syntax also before a newline
            WEIR_TRY_ASSIGN(PatternNode node,
                            set_node(CodePointSet::of(U'\n', U'\n'), Kind::LookAhead));
            node.at_end = true;
            return node;
        }
        if (text_[at_] == '^' || text_[at_] == '*' || text_[at_] == '+' || text_[at_] == '?') {
            return not_known("sign '" + std::string(1, text_[at_]) + "'");
        }
        return set_node(folded(take()));
    }

    Result<uint32_t> index_of(const CodePointSet& set) {
        WEIR_TRY_ASSIGN(const PatternNode node, set_node(set));
        return node.set;
    }

    // Behind the '('.
    Result<PatternNode> group(int depth) {
        const bool before = ignore_case_;
        bool looks_ahead = false;
        bool negative = false;
        if (accept("?i:")) {
            ignore_case_ = true;
        } else if (accept("?=") || accept("?!")) {
            looks_ahead = true;
            negative = text_[at_ - 1] == '!';
        } else if (!accept("?:") && !ends() && text_[at_] == '?') {
            return not_known("group");
        }
        WEIR_TRY_ASSIGN(PatternNode inside, alternatives(depth + 1));
        ignore_case_ = before;
        if (!accept(")")) {
            return data_corrupt("a pattern has a '(' without its ')'");
        }
        return looks_ahead ? look_ahead(inside, negative) : Result<PatternNode>(std::move(inside));
    }

    // Only at one character.
    Result<PatternNode> look_ahead(const PatternNode& inside, bool negative) {
        CodePointSet any;
        for (const PatternNode& branch : inside.children) {
            if (branch.children.size() != 1 || branch.children[0].kind != Kind::Set) {
                return not_known("look-ahead at more than one character");
            }
            any = any.united(syntax_.sets[branch.children[0].set]);
        }
        WEIR_TRY_ASSIGN(PatternNode node,
                        set_node(negative ? any.complement() : any, Kind::LookAhead));
        node.at_end = negative;
        return node;
    }

    Result<PatternNode> repeats(PatternNode item) {
        for (int depth = 0; !ends(); ++depth) {
            uint32_t least = 0;
            uint32_t most = PatternSyntax::kUnbounded;
            bool counted = false;
            if (accept("?")) {
                most = 1;
            } else if (accept("+")) {
                least = 1;
            } else if (accept("{")) {
                WEIR_TRY(counts(least, most));
                counted = true;
            } else if (!accept("*")) {
                return item;
            }
            if (depth == kNestingMax) {
                return not_known("nesting of repeats");
            }
            // In Ruby's syntax {1,3}+ repeats the repeat; it is not possessive.
            if (!counted && accept("+")) {
                WEIR_TRY_ASSIGN(item, possessive(std::move(item), least, most));
                continue;
            }
            PatternNode node;
            node.kind = Kind::Repeat;
            node.least = least;
            node.most = most;
            node.greed = accept("?") ? PatternNode::Greed::Lazy : PatternNode::Greed::Greedy;
            node.children.push_back(std::move(item));
            item = std::move(node);
        }
        return item;
    }

    // Behind the '{'.
    Result<void> counts(uint32_t& least, uint32_t& most) {
        const auto number = [this]() -> std::optional<uint32_t> {
            std::optional<uint32_t> value;
            while (!ends() && text_[at_] >= '0' && text_[at_] <= '9') {
                value = std::min(kRepeatsMax + 1,
                                 value.value_or(0) * 10 + static_cast<uint32_t>(text_[at_] - '0'));
                ++at_;
            }
            return value;
        };
        const auto first = number();
        least = first.value_or(0);
        most = least;
        bool has_second = true;
        if (accept(",")) {
            const auto second = number();
            most = second.value_or(PatternSyntax::kUnbounded);
            has_second = first || second;
        } else {
            has_second = first.has_value();
        }
        const bool bounded =
            least <= kRepeatsMax && (most <= kRepeatsMax || most == PatternSyntax::kUnbounded);
        if (!accept("}") || !has_second || least > most || !bounded) {
            return not_known("repeat");
        }
        return {};
    }

    // X++ is X+ that ends where no X follows; X?+ is X, or nothing where no X follows.
    Result<PatternNode> possessive(PatternNode item, uint32_t least, uint32_t most) {
        if (item.kind != Kind::Set) {
            return not_known("possessive repeat of a group");
        }
        const CodePointSet set = syntax_.sets[item.set];
        WEIR_TRY_ASSIGN(PatternNode none_follows, set_node(set.complement(), Kind::LookAhead));
        none_follows.at_end = true;
        PatternNode node;
        if (most == 1) {
            node.kind = Kind::Alternatives;
            PatternNode with;
            with.children.push_back(std::move(item));
            PatternNode without;
            without.children.push_back(std::move(none_follows));
            node.children.push_back(std::move(with));
            node.children.push_back(std::move(without));
            return node;
        }
        PatternNode repeat;
        repeat.kind = Kind::Repeat;
        repeat.least = least;
        repeat.most = most;
        repeat.children.push_back(std::move(item));
        node.children.push_back(std::move(repeat));
        node.children.push_back(std::move(none_follows));
        return node;
    }

    // One letter, in (?i:…) with its other cases; s and k have a third one each.
    CodePointSet folded(char32_t code_point) const {
        CodePointSet set = CodePointSet::of(code_point, code_point);
        const char32_t lower = code_point | 0x20;
        if (!ignore_case_ || lower < U'a' || lower > U'z') {
            return set;
        }
        set = set.united(CodePointSet::of(lower, lower))
                  .united(CodePointSet::of(lower - 0x20, lower - 0x20));
        if (lower == U's') {
            set = set.united(CodePointSet::of(0x17F, 0x17F));
        }
        return lower == U'k' ? set.united(CodePointSet::of(0x212A, 0x212A)) : set;
    }

    // Behind the '['.
    Result<CodePointSet> char_class(int depth, Halves& halves) {
        if (depth > kNestingMax) {
            return not_known("nesting");
        }
        const bool negated = accept("^");
        if (accept(":") || accept("]")) {
            return not_known("bracket");
        }
        std::optional<CodePointSet> intersection;
        CodePointSet current;
        while (!accept("]")) {
            if (ends()) {
                return data_corrupt("a pattern has a '[' without its ']'");
            }
            if (accept("&&")) {
                intersection = intersection ? intersection->intersected(current) : current;
                current = {};
                continue;
            }
            WEIR_TRY_ASSIGN(const CodePointSet item, class_item(depth, halves));
            current = current.united(item);
        }
        WEIR_TRY(check(halves));
        halves = {};
        const CodePointSet whole = intersection ? intersection->intersected(current) : current;
        return negated ? whole.complement() : whole;
    }

    Result<CodePointSet> class_item(int depth, Halves& halves) {
        if (accept("[")) {
            Halves inner;
            return char_class(depth + 1, inner);
        }
        if (text_[at_] == '\\' && !is_character_escape()) {
            ++at_;
            return escape(halves);
        }
        WEIR_TRY_ASSIGN(const char32_t first, character());
        if (text_.substr(at_).starts_with('-') && !text_.substr(at_).starts_with("-]") &&
            !text_.substr(at_).starts_with("-[")) {
            ++at_;
            if (ends() || (text_[at_] == '\\' && !is_character_escape())) {
                return not_known("range");
            }
            WEIR_TRY_ASSIGN(const char32_t last, character());
            if (last < first) {
                return data_corrupt("a pattern has a range that ends before it begins");
            }
            return ignore_case_ ? Result<CodePointSet>(not_known("range in any case"))
                                : CodePointSet::of(first, last);
        }
        return folded(first);
    }

    // Whether the escape at at_ stands for one character.
    bool is_character_escape() const {
        return at_ + 1 < text_.size() &&
               std::string_view("sSdDwWpPzZbBhHRXkgGAQ").find(text_[at_ + 1]) ==
                   std::string_view::npos;
    }

    // A character as such, or escaped.
    Result<char32_t> character() {
        if (!accept("\\")) {
            return take();
        }
        if (ends()) {
            return data_corrupt("a pattern ends in a backslash");
        }
        const char32_t escaped = take();
        switch (escaped) {
            case U'n':
                return U'\n';
            case U'r':
                return U'\r';
            case U't':
                return U'\t';
            case U'f':
                return U'\f';
            case U'v':
                return U'\v';
            case U'x':
                return accept("{") ? hexadecimal(1, 6, "}") : hexadecimal(1, 2, "");
            case U'u':
                return hexadecimal(4, 4, "");
            default:
                break;
        }
        const bool is_sign = escaped < 0x80 && escaped > U' ' &&
                             !(escaped >= U'0' && escaped <= U'9') &&
                             !((escaped | 0x20) >= U'a' && (escaped | 0x20) <= U'z');
        return is_sign || escaped == U' ' ? Result<char32_t>(escaped) : not_known("escape");
    }

    Result<char32_t> hexadecimal(size_t least, size_t most, std::string_view close) {
        char32_t value = 0;
        size_t digits = 0;
        for (; digits < most && !ends(); ++digits) {
            const char digit = text_[at_];
            const char lower = static_cast<char>(digit | 0x20);
            if (digit >= '0' && digit <= '9') {
                value = value * 16 + static_cast<char32_t>(digit - '0');
            } else if (lower >= 'a' && lower <= 'f') {
                value = value * 16 + static_cast<char32_t>(lower - 'a' + 10);
            } else {
                break;
            }
            ++at_;
        }
        if (digits < least || !accept(close) || value > 0x10FFFF) {
            return not_known("escape");
        }
        return value;
    }

    // Behind the backslash.
    Result<CodePointSet> escape(Halves& halves) {
        if (ends()) {
            return data_corrupt("a pattern ends in a backslash");
        }
        switch (text_[at_]) {
            case 's':
            case 'S':
                return either(CodePointSet::of_class(kSpace));
            case 'd':
            case 'D':
                return either(CodePointSet::of_set(CharSet::DecimalDigits));
            case 'w':
            case 'W':
                return either(word_set());
            case 'p':
            case 'P':
                return property(halves);
            default:
                break;
        }
        --at_;
        if (!is_character_escape()) {
            return not_known("escape");
        }
        WEIR_TRY_ASSIGN(const char32_t code_point, character());
        return folded(code_point);
    }

    // A lower-case letter is the set, the upper-case one its complement.
    CodePointSet either(const CodePointSet& set) {
        const bool lower = text_[at_++] >= 'a';
        return lower ? set : set.complement();
    }

    Result<CodePointSet> property(Halves& halves) {
        bool negated = text_[at_++] == 'P';
        if (!accept("{")) {
            return not_known("property");
        }
        negated ^= accept("^");
        const size_t end = text_.find('}', at_);
        if (end == std::string_view::npos) {
            return not_known("property");
        }
        const std::string_view name = text_.substr(at_, end - at_);
        WEIR_TRY_ASSIGN(CodePointSet set, named_set(name, halves, negated));
        at_ = end + 1;
        return negated ? set.complement() : set;
    }

    Result<CodePointSet> named_set(std::string_view name, Halves& halves, bool negated) {
        const auto row = std::ranges::find(kClassNames, name, &NamedClass::name);
        if (row != std::end(kClassNames)) {
            return CodePointSet::of_class(row->char_class);
        }
        if (name == "Han") {
            return CodePointSet::of_set(CharSet::Han);
        }
        if (name == "Nd") {
            return CodePointSet::of_set(CharSet::DecimalDigits);
        }
        const bool is_half = name == "Lu" || name == "Lt" || name == "Lm" || name == "Lo";
        if (!is_half || negated) {
            return not_known("property '" + std::string(name.substr(0, 32)) + "'");
        }
        halves.upper |= name == "Lu";
        halves.title |= name == "Lt";
        halves.modifier |= name == "Lm";
        halves.other |= name == "Lo";
        return CodePointSet::of_class(name == "Lu" || name == "Lt" ? kUpper : kCaseless);
    }

    Result<void> check(const Halves& halves) const {
        if (halves.upper != halves.title || halves.modifier != halves.other) {
            return not_known(R"(\p{Lu} without \p{Lt}, or \p{Lm} without \p{Lo},)");
        }
        return {};
    }

    std::string_view text_;
    size_t at_ = 0;
    bool ignore_case_ = false;
    PatternSyntax syntax_;
};

}  // namespace

Result<PatternSyntax> parse_pattern(std::string_view pattern) {
    return Parser(pattern).parse();
}

}  // namespace weir::text
