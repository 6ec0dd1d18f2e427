// vocab_keys_of_json: tokenizer.json as GGUF's keys.
//
// The keys know four models with their steps built in, so a file is taken apart by its steps and
// refused where one of them has no place there. What is left are details (how often spaces are
// written, which form of Unicode a text is in), and these are not argued about: the tokenizer that
// the keys describe is made, and both encode the same texts (check_same).

#include "text/vocab_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "json/parse.h"
#include "text/tokenizer_json.h"
#include "text/vocab_probe.h"

namespace weir::text {
namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr size_t kIncompleteShare = 100;  // one token of so many may lack merges
constexpr size_t kSplitBytesMax = 1024;   // of a token that is looked at in all its parts

const Value* member(const Object& object, std::string_view name) {
    const Value* value = object.find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
}

std::string_view text_of(const Object& object, std::string_view name) {
    const Value* value = member(object, name);
    const std::string* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string_view() : std::string_view(*text);
}

bool flag_of(const Object& object, std::string_view name, bool otherwise) {
    const Value* value = member(object, name);
    const bool* flag = value == nullptr ? nullptr : value->if_bool();
    return flag == nullptr ? otherwise : *flag;
}

std::optional<uint32_t> id_of(const Value& value) {
    const auto* id = std::get_if<int64_t>(&value.storage());
    return id == nullptr || *id < 0 || static_cast<uint64_t>(*id) >= kVocabTokensMax
               ? std::nullopt
               : std::optional(static_cast<uint32_t>(*id));
}

// The steps of a Sequence, or the one that there is. The tokenizer's reader has bounded them.
void flatten(const Value* value, std::string_view list, std::vector<const Object*>& out) {
    const Object* step = value == nullptr ? nullptr : value->if_object();
    if (step == nullptr) {
        return;
    }
    if (text_of(*step, "type") != "Sequence") {
        out.push_back(step);
        return;
    }
    const Value* steps = member(*step, list);
    if (steps != nullptr && steps->if_array() != nullptr) {
        for (const Value& one : *steps->if_array()) {
            flatten(&one, list, out);
        }
    }
}

// "literal" of {"String": "literal"} or of {"Regex": "literal"}.
std::string_view pattern_of(const Object& step) {
    const Value* pattern = member(step, "pattern");
    if (pattern == nullptr || pattern->if_object() == nullptr) {
        return {};
    }
    const std::string_view literal = text_of(*pattern->if_object(), "String");
    return literal.empty() ? text_of(*pattern->if_object(), "Regex") : literal;
}

bool replaces(const Object& step, std::string_view what) {
    return text_of(step, "type") == "Replace" && pattern_of(step) == what;
}

std::unexpected<Error> no_place(std::string_view kind, const Object& step) {
    return unsupported("the {} {}", kind, text_of(step, "type").substr(0, 64));
}

class KeysReader {
  public:
    KeysReader(const Object& root, const Object& model, VocabKeys& out)
        : model_(model), out_(out), spec_(out.spec), pre_(member(root, "pre_tokenizer")) {
        flatten(member(root, "normalizer"), "normalizers", normalizer_);
        flatten(pre_, "pretokenizers", pre_steps_);
        const Value* added = member(root, "added_tokens");
        added_ = added == nullptr ? nullptr : added->if_array();
    }

    Result<void> read() {
        const Value* vocab = member(model_, "vocab");
        std::string_view type = text_of(model_, "type");
        if (type.empty()) {  // as the tokenizer's reader guesses
            const bool is_list = vocab != nullptr && vocab->if_array() != nullptr;
            type = member(model_, "merges") != nullptr ? "BPE" : is_list ? "Unigram" : "WordPiece";
        }
        if (type == "BPE") {
            PreTokenizerSteps steps;
            WEIR_TRY(read_pre_tokenizer(pre_, steps));
            return steps.byte_level ? byte_level(steps) : sentencepiece();
        }
        if (type == "Unigram") {
            return unigram();
        }
        return type == "WordPiece" ? wordpiece() : unsupported("the model {}", type.substr(0, 64));
    }

  private:
    // ---- tokens ----

    void put(uint32_t id, std::string_view text, TokenType type, float score = 0) {
        if (id >= spec_.tokens.size()) {
            spec_.tokens.resize(id + 1);
            spec_.types.resize(id + 1, static_cast<int32_t>(TokenType::Unused));
            spec_.scores.resize(id + 1, 0);
        }
        spec_.tokens[id] = text;
        spec_.types[id] = static_cast<int32_t>(type);
        spec_.scores[id] = score;
    }

    std::string_view own(std::string text) { return out_.texts.emplace_back(std::move(text)); }

    bool is(uint32_t id, TokenType type) const {
        return spec_.types[id] == static_cast<int32_t>(type);
    }

    // {"text": id, …}
    Result<void> put_vocabulary() {
        const Value* vocab = member(model_, "vocab");
        if (vocab == nullptr || vocab->if_object() == nullptr) {
            return data_corrupt("model.vocab is missing");
        }
        for (const auto& [text, value] : *vocab->if_object()) {
            if (const auto id = id_of(value)) {
                put(*id, text, TokenType::Normal);
                ids_.emplace(text, *id);
            }
        }
        return {};
    }

    enum class Spaces : uint8_t { AsTheyAre, ForSigns };

    // A token that is found by its name is matched against the text before any step.
    void put_added(Spaces spaces) {
        if (added_ == nullptr) {
            return;
        }
        for (const Value& value : *added_) {
            const Object* token = value.if_object();
            const Value* number = token == nullptr ? nullptr : member(*token, "id");
            const auto id = number == nullptr ? std::nullopt : id_of(*number);
            if (!id) {
                continue;
            }
            const std::string_view content = text_of(*token, "content");
            const bool special = flag_of(*token, "special", false);
            const bool as_it_is = special || spaces == Spaces::AsTheyAre;
            put(*id, as_it_is ? content : own(spaces_of_metaspace(content)),
                special ? TokenType::Control : TokenType::UserDefined);
        }
    }

    // Of a character-level model: which of the tokens stand for bytes, and which for what no token
    // says.
    void mark_pieces() {
        const bool bytes = flag_of(model_, "byte_fallback", false);
        for (uint32_t id = 0; id < spec_.tokens.size(); ++id) {
            if (bytes && is(id, TokenType::Normal) && byte_of_name(spec_.tokens[id])) {
                put(id, spec_.tokens[id], TokenType::Byte);
            }
        }
        if (spec_.unknown_token_id && *spec_.unknown_token_id < spec_.tokens.size()) {
            put(*spec_.unknown_token_id, spec_.tokens[*spec_.unknown_token_id], TokenType::Unknown);
        }
    }

    // ---- merges ----

    struct Merge {
        std::string_view left;
        std::string_view right;
    };

    Result<std::vector<Merge>> merges() const {
        const Value* list = member(model_, "merges");
        std::vector<Merge> out;
        if (list == nullptr || list->if_array() == nullptr) {
            return out;
        }
        for (const Value& value : *list->if_array()) {
            Merge merge;
            if (const std::string* text = value.if_string()) {
                const size_t space = text->find(' ');
                if (space == std::string::npos) {
                    return data_corrupt("model.merges[{}] is not two tokens", out.size());
                }
                merge = {std::string_view(*text).substr(0, space),
                         std::string_view(*text).substr(space + 1)};
            } else if (const Array* pair = value.if_array(); pair != nullptr && pair->size() == 2 &&
                                                             (*pair)[0].if_string() != nullptr &&
                                                             (*pair)[1].if_string() != nullptr) {
                merge = {*(*pair)[0].if_string(), *(*pair)[1].if_string()};
            }
            if (merge.left.empty() || merge.right.empty() ||
                merge.left.find(' ') != std::string_view::npos ||
                merge.right.find(' ') != std::string_view::npos) {
                return unsupported("merge {}, of a text with a space", out.size());
            }
            out.push_back(merge);
        }
        return out;
    }

    // ---- models ----

    Result<void> byte_level(const PreTokenizerSteps& steps) {
        for (const Object* step : normalizer_) {
            if (text_of(*step, "type") != "NFC") {  // check_same says what that changes
                return no_place("normalizer", *step);
            }
        }
        spec_.model = "gpt2";
        const bool ignores = flag_of(model_, "ignore_merges", false);
        for (const std::string_view name : PreTokenizer::gguf_names_of(steps.steps)) {
            if (spec_.pre.empty() && ignores_merges(name) == ignores) {
                spec_.pre = name;
            }
        }
        if (spec_.pre.empty()) {
            return unsupported("the way in which its pre_tokenizer cuts a text");
        }
        WEIR_TRY(put_vocabulary());
        put_added(Spaces::AsTheyAre);
        spec_.scores.clear();
        return put_merges();
    }

    bool is_control(std::string_view text) const {
        const auto found = ids_.find(text);
        return found != ids_.end() && is(found->second, TokenType::Control);
    }
    bool makes_control(const Merge& merge) const {
        return is_control(merge.left) || is_control(merge.right) ||
               is_control(std::string(merge.left).append(merge.right));
    }

    // Merges of any two pieces that make a token, the best score first: says the same as a list of
    // merges that has all of these, and those of one token together.
    Result<void> sentencepiece() {
        WEIR_TRY(read_signs());
        if (flag_of(model_, "ignore_merges", false)) {
            return unsupported("the flag ignore_merges");
        }
        spec_.model = "llama";
        spec_.pre = "default";
        WEIR_TRY(put_vocabulary());
        if (const auto unknown = ids_.find(text_of(model_, "unk_token")); unknown != ids_.end()) {
            spec_.unknown_token_id = unknown->second;
        }
        put_added(Spaces::ForSigns);
        mark_pieces();
        auto scored = score_by_merges();
        return scored || *spec_.add_space_prefix ? scored : rank_merges();
    }

    // Gemma 4's form has the list itself, but puts no space before a text.
    Result<void> rank_merges() {
        spec_.model = "gemma4";
        spec_.pre = "gemma4";
        return put_merges();
    }

    Result<void> put_merges() {
        WEIR_TRY_ASSIGN(const std::vector<Merge> list, merges());
        for (const Merge& merge : list) {
            if (!makes_control(merge)) {
                spec_.merges.push_back(own(fmt::format("{} {}", merge.left, merge.right)));
            }
        }
        return {};
    }

    Result<void> score_by_merges() {
        WEIR_TRY_ASSIGN(const std::vector<Merge> list, merges());
        std::vector<uint32_t> made(spec_.tokens.size(), 0);
        std::optional<uint32_t> last;
        float score = 0;
        for (const Merge& merge : list) {
            const auto found = ids_.find(std::string(merge.left).append(merge.right));
            if (found == ids_.end()) {
                return data_corrupt("model.merges makes a text that is no token");
            }
            const uint32_t id = found->second;
            if (id != last && made[id] != 0) {
                return unsupported("the order of its merges");
            }
            if (made[id]++ == 0) {
                spec_.scores[id] = score--;
            }
            last = id;
        }
        size_t incomplete = 0;
        for (uint32_t id = 0; id < spec_.tokens.size(); ++id) {
            if (spec_.tokens[id].size() > kSplitBytesMax) {
                return unsupported("a token of {} bytes", spec_.tokens[id].size());
            }
            if (is(id, TokenType::Normal)) {
                incomplete += made[id] != splits_of(spec_.tokens[id]) ? 1 : 0;
                spec_.scores[id] = made[id] == 0 ? score-- : spec_.scores[id];
            }
        }
        // A few are what an old converter forgot; a list that others trained has few of them all.
        if (incomplete * kIncompleteShare > spec_.tokens.size()) {
            return unsupported("a list of merges that leaves most of the possible ones out");
        }
        if (incomplete != 0) {
            out_.lost.push_back(fmt::format("{} tokens with fewer merges than parts", incomplete));
        }
        return {};
    }

    // In how many ways a token is two others.
    uint32_t splits_of(std::string_view text) const {
        const auto is_piece = [this](std::string_view part) {
            const auto found = ids_.find(part);
            return found != ids_.end() && (is(found->second, TokenType::Normal) ||
                                           is(found->second, TokenType::UserDefined));
        };
        uint32_t count = 0;
        for (size_t at = 1; at < text.size(); ++at) {
            count += is_piece(text.substr(0, at)) && is_piece(text.substr(at)) ? 1 : 0;
        }
        return count;
    }

    // Spaces as signs, and one before the text or not.
    Result<void> read_signs() {
        spec_.add_space_prefix = false;
        bool has_signs = false;
        for (const Object* step : normalizer_) {
            if (text_of(*step, "type") == "Prepend" && text_of(*step, "prepend") == kMetaspace &&
                !has_signs) {
                spec_.add_space_prefix = true;
            } else if (replaces(*step, " ") && text_of(*step, "content") == kMetaspace) {
                has_signs = true;
            } else {
                return no_place("normalizer", *step);
            }
        }
        for (const Object* step : pre_steps_) {
            const bool cuts_nothing =
                has_signs && text_of(*step, "type") == "Split" && pattern_of(*step) == " ";
            if (!cuts_nothing && (has_signs || !reads_metaspace(*step))) {
                return no_place("pre_tokenizer", *step);
            }
            has_signs = true;
        }
        return has_signs ? Result<void>() : unsupported("spaces that are no signs");
    }

    bool reads_metaspace(const Object& step) {
        const std::string_view sign = text_of(step, "replacement");
        if (text_of(step, "type") != "Metaspace" || (!sign.empty() && sign != kMetaspace)) {
            return false;
        }
        const std::string_view scheme = text_of(step, "prepend_scheme");
        spec_.add_space_prefix =
            scheme.empty() ? flag_of(step, "add_prefix_space", true) : scheme != "never";
        return true;
    }

    Result<void> unigram() {
        spec_.model = "t5";
        spec_.pre = "default";
        spec_.remove_extra_whitespaces = false;
        for (const Object* step : normalizer_) {
            const std::string_view type = text_of(*step, "type");
            if (type == "Precompiled" && spec_.precompiled_charsmap.empty()) {
                const auto bytes = bytes_of_base64(text_of(*step, "precompiled_charsmap"));
                const std::string_view map = own(bytes.value_or(std::string()));
                spec_.precompiled_charsmap = std::as_bytes(std::span(map));
            } else if (replaces(*step, " {2,}") || type == "Strip") {
                spec_.remove_extra_whitespaces = true;
            } else {
                return no_place("normalizer", *step);
            }
        }
        bool has_signs = false;
        for (const Object* step : pre_steps_) {
            if (text_of(*step, "type") == "WhitespaceSplit" && !has_signs) {
                spec_.remove_extra_whitespaces = true;
            } else if (has_signs || !reads_metaspace(*step)) {
                return no_place("pre_tokenizer", *step);
            } else {
                has_signs = true;
            }
        }
        return has_signs ? put_scored() : unsupported("spaces that are no signs");
    }

    // [["text", score], …]
    Result<void> put_scored() {
        const Value* vocab = member(model_, "vocab");
        if (vocab == nullptr || vocab->if_array() == nullptr) {
            return data_corrupt("model.vocab is missing");
        }
        uint32_t id = 0;
        for (const Value& value : *vocab->if_array()) {
            const Array* pair = value.if_array();
            if (pair == nullptr || pair->size() != 2 || (*pair)[0].if_string() == nullptr) {
                return data_corrupt("model.vocab[{}] is no text with a score", id);
            }
            const auto* score = std::get_if<double>(&(*pair)[1].storage());
            const auto* whole = std::get_if<int64_t>(&(*pair)[1].storage());
            const double number = score != nullptr   ? *score
                                  : whole != nullptr ? static_cast<double>(*whole)
                                                     : 0;
            put(id++, *(*pair)[0].if_string(), TokenType::Normal, static_cast<float>(number));
        }
        if (const Value* unknown = member(model_, "unk_id")) {
            spec_.unknown_token_id = id_of(*unknown);
        }
        put_added(Spaces::ForSigns);
        mark_pieces();
        return {};
    }

    Result<void> wordpiece() {
        constexpr std::string_view kContinues = "##";
        const Object* normalizer = normalizer_.size() == 1 ? normalizer_.front() : nullptr;
        if (normalizer == nullptr || text_of(*normalizer, "type") != "BertNormalizer" ||
            !flag_of(*normalizer, "clean_text", true) ||
            !flag_of(*normalizer, "handle_chinese_chars", true)) {
            return unsupported("another normalizer than BERT's");
        }
        if (pre_steps_.size() != 1 || text_of(*pre_steps_[0], "type") != "BertPreTokenizer") {
            return unsupported("another pre_tokenizer than BERT's");
        }
        const Value* prefix = member(model_, "continuing_subword_prefix");
        const Value* longest = member(model_, "max_input_chars_per_word");
        if ((prefix != nullptr && *prefix != Value(kContinues)) ||
            (longest != nullptr && *longest != Value(100))) {
            return unsupported("other rules for the parts of words than BERT's");
        }
        spec_.model = "bert";
        spec_.pre = "default";
        spec_.normalizer_lowercase = flag_of(*normalizer, "lowercase", true);
        spec_.normalizer_strip_accents =
            flag_of(*normalizer, "strip_accents", *spec_.normalizer_lowercase);
        WEIR_TRY(put_vocabulary());
        put_added(Spaces::AsTheyAre);
        spec_.scores.clear();
        for (uint32_t id = 0; id < spec_.tokens.size(); ++id) {
            if (is(id, TokenType::Normal)) {
                const std::string_view text = spec_.tokens[id];
                spec_.tokens[id] = text.starts_with(kContinues)
                                       ? text.substr(kContinues.size())
                                       : own(std::string(kMetaspace).append(text));
            }
        }
        if (const auto unknown = ids_.find(text_of(model_, "unk_token")); unknown != ids_.end()) {
            spec_.unknown_token_id = unknown->second;
        }
        return {};
    }

    const Object& model_;
    VocabKeys& out_;
    VocabSpec& spec_;
    const Value* pre_;
    const Array* added_ = nullptr;
    std::vector<const Object*> normalizer_;
    std::vector<const Object*> pre_steps_;
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };
    std::unordered_map<std::string_view, uint32_t, Hash, std::equal_to<>> ids_;
};

}  // namespace

Result<VocabKeys> vocab_keys_of_json(std::string_view tokenizer_json, const Tokenizer& tokenizer,
                                     size_t vocabulary) {
    VocabKeys out;
    WEIR_TRY_ASSIGN(json::Value parsed, json::parse(tokenizer_json, json::kModelFile));
    out.file = std::make_shared<const Value>(std::move(parsed));
    const Object* root = out.file->if_object();
    const Value* model = root == nullptr ? nullptr : member(*root, "model");
    if (model == nullptr || model->if_object() == nullptr) {
        return data_corrupt("tokenizer.json has no model");
    }
    WEIR_TRY(KeysReader(*root, *model->if_object(), out).read());
    WEIR_TRY(fit_to(vocabulary, out));
    WEIR_TRY(set_ends(tokenizer, out));
    WEIR_TRY(check_same(tokenizer, out));
    return out;
}

}  // namespace weir::text
