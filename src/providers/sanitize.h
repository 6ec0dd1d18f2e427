#pragma once

#include <string>
#include <string_view>

namespace weir::providers {

// What a peer wrote, made fit to be shown to a client (SE1, SE2): valid UTF-8 without control
// characters, at most `bytes_max` bytes, and without what looks like an address (URL, host, IP,
// e-mail), a key or an account's id. Those become "[removed]"; better a word too many.
std::string sanitized_text(std::string_view text, size_t bytes_max = 300);

// A machine code or a field path: what is not one ([A-Za-z0-9_.[]-], at most 100) becomes empty.
std::string sanitized_token(std::string_view text);

}  // namespace weir::providers
