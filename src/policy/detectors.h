#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/numbers.h"

namespace weir::policy {

enum class Finding : uint8_t {
    Email,
    PaymentCard,
    Iban,
    Phone,
    NationalId,
    Secret,      // API keys, tokens, passwords in URLs, private keys
    Unreadable,  // a long run of encoded bytes that cannot be looked into
};

std::string_view name(Finding finding);

// Receives what was found; never the text itself.
class FindingSet {
  public:
    void add(Finding finding) { bits_ |= bit(finding); }
    bool has(Finding finding) const { return (bits_ & bit(finding)) != 0; }
    bool empty() const { return bits_ == 0; }
    bool has_more_than(Finding finding) const { return (bits_ & ~bit(finding)) != 0; }

  private:
    static uint32_t bit(Finding finding) { return 1u << static_cast<uint32_t>(finding); }
    uint32_t bits_ = 0;
};

// Each looks through folded text (policy::fold) in linear time; `numbers` are the text's own.
void detect_email(std::string_view folded, FindingSet& found);
void detect_payment_card(const Numbers& numbers, FindingSet& found);  // Luhn, networks' prefixes
void detect_phone(std::string_view folded, const Numbers& numbers, FindingSet& found);
void detect_iban(std::string_view folded, const Numbers& numbers, FindingSet& found);
void detect_national_id(std::string_view folded, const Numbers& numbers, FindingSet& found);
// Also what is written in rot13.
void detect_secret(std::string_view folded, FindingSet& found);

// A card's groups in order with words between them: "it starts with 4111 1111, and ends with …".
// For what one speaker says, where few other numbers are said.
void detect_scattered_card(std::string_view folded, const Numbers& numbers, FindingSet& found);

// All of them but the last, in the text as it stands, in rot13 and from its end to its beginning.
void detect_all(std::string_view folded, const Numbers& numbers, FindingSet& found);

// Whether a whole number (a seed) is a card's. `digits`: ASCII digits only.
bool is_card_number(std::string_view digits);

// The last digit makes the Luhn sum a multiple of ten. `digits`: ASCII digits only.
bool luhn_is_valid(std::string_view digits);
// An IBAN's length in that country ("DE"), or 0 if it has none.
size_t iban_characters(std::string_view country);
// The country's length and form, and ISO 7064 mod 97-10. No spaces, capital letters.
bool iban_is_valid(std::string_view iban);
// Verhoeff's check digit, of India's Aadhaar numbers. ASCII digits only.
bool verhoeff_is_valid(std::string_view digits);
// The two check digits of Brazil's CPF. Eleven ASCII digits.
bool cpf_is_valid(std::string_view digits);

}  // namespace weir::policy
