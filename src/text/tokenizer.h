#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/token_id.h"
#include "text/vocab.h"

namespace weir::text {

// A stretch of a prompt and who wrote it. Trusted is what the template and the operator wrote;
// everything that came with a request (messages, tool results, documents) is not.
struct Segment {
    std::string_view text;
    bool trusted = false;
};

struct EncodeOptions {
    bool parse_special = false;  // added tokens that stand in the text are taken as tokens
    bool add_special = false;    // what the tokenizer puts around a text (BOS, EOS, [CLS] …)
    // Threads that may work on a text of more than 1 MB, the caller's included; the ids are the
    // same with any number.
    unsigned threads_max = 4;
};

struct DecodeOptions {
    bool skip_special = false;  // leave control tokens out
    // The text continues another one: keep the space that the first token of a SentencePiece text
    // brings along and a text of its own would not show.
    bool continues = false;
};

// Text to tokens and back, for one model.
//
// Text is UTF-8; bytes that are none are kept as they are where the vocabulary can say them (byte
// level, byte fallback), so that decode(encode(x)) == x there for any bytes. Every encoding is
// linear in the text, up to a logarithm.
//
// Threads: immutable after loading; every method may be called from any thread.
// Ownership: owns everything it needs; files and specs can go after loading. Move-only.
// Invariant: a control token comes out of encode only where every byte of its text was trusted.
// Not here: chat templates, output parsing, files.
class Tokenizer {
  public:
    // Errors: DataCorrupt where the spec contradicts itself, Unsupported for a tokenizer or
    // pre-tokenizer that is not known by name.
    static Result<Tokenizer> from_spec(const VocabSpec& spec);
    // tokenizer.json of Hugging Face tokenizers; `config_json` is tokenizer_config.json, or empty.
    static Result<Tokenizer> from_tokenizer_json(std::string_view json,
                                                 std::string_view config_json = {});
    // SentencePiece's tokenizer.model (a ModelProto of the kinds BPE and Unigram), likewise.
    static Result<Tokenizer> from_sentencepiece(std::span<const std::byte> model,
                                                std::string_view config_json = {});

    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;
    ~Tokenizer();

    size_t vocab_size() const;  // ids are below it

    // Errors: TooLarge past kTextBytesMax; InvalidArgument where the vocabulary has no token for a
    // byte of the text (nothing is dropped silently).
    Result<std::vector<TokenId>> encode(std::string_view text,
                                        const EncodeOptions& options = {}) const;

    // Encodes the segments as the one text that they make up, except that control tokens are found
    // only in text that is trusted from their first byte to their last: what a user writes can not
    // close its message. Harmless text gives the same ids as the joined text would.
    // `options.parse_special` is not read: each segment says it for itself.
    Result<std::vector<TokenId>> encode_segments(std::span<const Segment> segments,
                                                 const EncodeOptions& options = {}) const;

    // The bytes of a whole text. They need not be UTF-8: a model may stop inside a character.
    // Errors: InvalidArgument for an id outside the vocabulary.
    Result<std::string> decode(std::span<const TokenId> ids,
                               const DecodeOptions& options = {}) const;

    // The bytes that a token adds in the middle of a text; for a control token its name ("</s>").
    // Empty for an id outside the vocabulary. Valid as long as the Tokenizer.
    std::string_view token_bytes(TokenId id) const;
    // The same, but where a control token is written apart ("x [SEP]") with what keeps it apart.
    std::string_view decoded_bytes(TokenId id) const;
    // What the token adds as the first one of a text; leading_spaces_dropped() is applied.
    std::string_view opening_bytes(TokenId id) const;

    // Control tokens steer (BOS, end of turn, padding) and are no part of what a model says.
    bool is_control(TokenId id) const;
    // The token that is written so: an added or control token by its name, another by its bytes.
    std::optional<TokenId> find_token(std::string_view text) const;

    std::optional<TokenId> bos() const;
    std::optional<TokenId> eos() const;
    std::optional<TokenId> eot() const;
    std::optional<TokenId> unknown() const;
    std::optional<TokenId> padding() const;
    // Every token after which generation stops, ascending: EOS, end of turn, end of message.
    std::span<const TokenId> end_of_generation() const;
    bool ends_generation(TokenId id) const;

    // How many leading spaces of a text of its own decode() leaves out (0 or 1).
    size_t leading_spaces_dropped() const;

    static constexpr size_t kTextBytesMax = size_t{1} << 30;

    struct Parts;  // internal: what the readers hand over
    static Result<Tokenizer> from_parts(Parts parts);

  private:
    struct Impl;
    explicit Tokenizer(std::unique_ptr<const Impl> impl);
    std::unique_ptr<const Impl> impl_;
};

}  // namespace weir::text
