#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/output/format.h"
#include "text/output/json_call.h"
#include "text/output/json_text.h"
#include "text/output/literal.h"
#include "text/output/marker.h"
#include "text/output/types.h"

namespace weir::text {

// A piece of what a model has said. Pieces of one kind that follow each other belong together.
struct OutputPiece {
    enum class Kind : uint8_t { Text, Reasoning, Call, Arguments };
    Kind kind = Kind::Text;
    std::string text;     // Call: the function's name; Arguments: a piece of JSON text
    std::string id;       // Call: as the model wrote it; empty if the format has none
    uint32_t call = 0;    // Call and Arguments: which call of this answer
    uint64_t source = 0;  // Text: the byte of the output with which it begins

    friend bool operator==(const OutputPiece&, const OutputPiece&) = default;
};

// Reads a model's output as it comes: reasoning, text, tool calls.
//
// The pieces, joined, depend on the output alone and not on where it was cut: a byte is decided
// when no continuation could change what it means, and waits until then. Arguments that the model
// writes as JSON pass byte for byte; formats that write values as bare text (see CallFormat) are
// turned into JSON by the tools' schemas. What looks like a call and turns out to be none is text:
// nothing that a model says is lost, but for markers, and white space around them. A call of a
// function that is not among the request's tools is text too, for nobody can answer it.
//
// Linear time. Bounded: beyond what is given out it keeps at most kTentativeBytesMax of an
// undecided call, kTypedBytesMax of one value that is no string, and a few hundred bytes.
//
// Threads: one. Ownership: keeps the format and the types alive.
class OutputParser {
  public:
    static constexpr size_t kTentativeBytesMax = size_t{64} << 10;
    static constexpr size_t kTypedBytesMax = size_t{1} << 20;
    static constexpr size_t kWordBytesMax = 256;   // of a name, a key, an id
    static constexpr size_t kSpaceBytesMax = 256;  // held back before what may be a marker

    struct Options {
        bool finds_calls = true;
        bool ends_at_markers = false;  // OutputFormat::ends end the answer
        std::string_view prompt_tail;  // what stands before the output: it may have begun a part
    };
    OutputParser(std::shared_ptr<const OutputFormat> format, std::shared_ptr<const ToolTypes> types,
                 const Options& options);

    void push(std::string_view text, std::vector<OutputPiece>& out);

    enum class End : uint8_t { Whole, Cut };  // Cut: the model was not done (a length limit)
    void finish(End end, std::vector<OutputPiece>& out);

    bool is_reasoning() const { return state_ == State::Reasoning || body_is_reasoning_; }
    uint32_t calls() const { return calls_; }
    // Whether the arguments of every call came to their end. True only after `finish`.
    bool calls_are_whole() const { return state_ == State::Ended && !has_cut_call_; }
    // The byte of the output up to which it is known what everything is.
    uint64_t decided() const;

  private:
    enum class State : uint8_t {
        Content,
        Reasoning,
        Section,     // between calls
        Fields,      // of a Named call, before its arguments
        Json,        // inside a Json call
        Arguments,   // JSON
        Literal,     // Python or Quoted
        Parameters,  // Tagged, between parameters
        Key,
        Value,
        Header,  // harmony: before <|message|>
        Body,    // harmony: after it
        Rest,    // harmony: after a call's arguments
        Ended,
    };
    enum class What : uint8_t {
        ReasoningBegin,
        ReasoningEnd,
        ContentBegin,
        ContentEnd,
        SectionBegin,
        SectionEnd,
        CallBegin,
        CallEnd,
        FieldEnd,
        ParameterBegin,
        KeyEnd,
        ValueEnd,
        MessageBegin,
        MessageEnd,
        HeaderBegin,
        End,
    };
    struct Meaning {
        What what;
        size_t index = 0;
    };
    // What one state looks for.
    struct Markers {
        std::vector<MeaningOf<Meaning>> all;
        std::bitset<256> first_bytes;

        void add(Marker marker, Meaning meaning);
        void add(std::string_view text, Meaning meaning);
    };

    void make_markers();
    void make_call_markers();
    void make_harmony_markers();
    const Markers* markers() const;
    void begin_after(std::string_view prompt_tail);
    void run(bool is_end);
    bool take_marker(const Meaning& meaning, size_t bytes);
    bool take_byte(char c);
    bool content_marker(What what, size_t bytes);
    bool section_marker(What what, size_t bytes);
    bool call_marker(const Meaning& meaning, size_t bytes);
    bool content_byte(char c);
    bool section_byte(char c);
    bool field_byte(char c);
    bool json_byte(char c);
    bool arguments_byte(char c);
    bool literal_byte(char c);
    bool parameters_byte(char c);
    bool key_byte(char c);
    bool value_byte(char c);

    bool reads_json() const;
    bool is_offered(std::string_view name) const;
    void try_call();
    void end_field(size_t index);
    void begin_arguments();
    void begin_call(std::string name, std::string id);
    void give_up_call();
    void end_call_try();
    void leave_section();
    void end_tagged_call();
    void begin_value(size_t key_end);
    void end_value();
    void end_last_call(End end);

    bool harmony_marker(What what, size_t bytes);
    bool harmony_byte(char c);
    enum class Addressee : uint8_t { Reader, Tool, Nobody };
    Addressee begin_message(std::string_view header);

    void put_text(char c, uint64_t source);
    void put_reasoning(char c);
    void put_arguments(std::string_view bytes);
    void put(OutputPiece::Kind kind, std::string_view bytes, uint64_t source);
    void flush_space(OutputPiece::Kind kind);
    void drop_space();

    std::shared_ptr<const OutputFormat> format_;
    std::shared_ptr<const ToolTypes> types_;
    const CallFormat& calls_format_;
    const bool finds_calls_;
    const bool ends_at_markers_;
    Markers content_markers_;
    Markers reasoning_markers_;
    Markers section_markers_;
    Markers argument_markers_;
    Markers parameter_markers_;
    Markers key_markers_;
    Markers value_markers_;
    Markers raw_value_markers_;  // after a key's end with CallFormat::kRawBegin
    Markers header_markers_;
    Markers body_markers_;
    std::vector<Markers> field_markers_;

    std::vector<OutputPiece>* out_ = nullptr;  // during push and finish
    State state_ = State::Content;
    std::string pending_;
    size_t head_ = 0;                 // what of pending_ is decided
    uint64_t source_ = 0;             // of pending_'s first byte
    std::optional<size_t> call_try_;  // in pending_: where something began that may be a call

    std::string space_;  // not yet given out: it may stand before a marker
    uint64_t space_source_ = 0;
    bool drops_space_ = false;
    bool at_start_ = true;  // no text since the last marker
    bool in_content_ = false;

    uint32_t calls_ = 0;
    bool has_cut_call_ = false;
    bool section_has_call_ = false;
    bool is_bare_ = false;
    bool section_is_json_ = false;
    size_t field_ = 0;
    std::vector<std::string> fields_;
    std::string word_;
    std::string tool_;
    std::optional<JsonCall> json_;
    enum class Argument : uint8_t { None, Tree, Text, Raw } argument_ = Argument::None;
    JsonCursor cursor_;
    JsonStringDecoder decoder_;
    std::optional<LiteralToJson> literal_;
    bool has_parameters_ = false;
    std::string value_;
    bool value_is_text_ = false;
    bool value_at_start_ = false;
    JsonType value_type_ = JsonType::Any;
    bool value_is_raw_ = false;

    bool body_is_reasoning_ = false;
    std::string prompt_header_;  // the part of the first header that the prompt has written
};

}  // namespace weir::text
