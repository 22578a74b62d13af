//! Types as people write them, for messages: `Vec<u8>`, where tokens would print as `Vec < u8 >`.
//!
//! Peers compare these texts to see whether both sides mean the same function, so the result for the same tokens must
//! not depend on their layout in the source.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Prints the tokens of a type.
pub(crate) fn of(tokens: TokenStream) -> String {
    let mut text = String::new();
    write(tokens, &mut text);
    text.truncate(text.trim_end().len());
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                ',' => text.push_str(", "),
                ';' => text.push_str("; "),
                '+' => text.push_str(" + "),
                '=' => text.push_str(" = "),
                '-' if punct.spacing() == Spacing::Joint => text.push_str(" -"),
                '>' if text.ends_with(" -") => text.push_str("> "),
                other => text.push(other),
            },
            word => {
                if text.ends_with(is_word) {
                    text.push(' ');
                }
                text.push_str(&word.to_string());
            }
        }
    }
}

fn is_word(last: char) -> bool {
    last.is_alphanumeric() || last == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_as_they_are_written() {
        for written in [
            "i64",
            "Result<Vec<u8>>",
            "std::collections::HashMap<String, (u8, [i32; 4])>",
            "Result<(), Box<dyn Error + Send + Sync>>",
            "Cow<'static, str>",
            "fn(u8) -> u8",
            "<T as Trait>::Out",
            "Box<dyn Iterator<Item = u8> + 'static>",
        ] {
            assert_eq!(of(written.parse().unwrap()), written);
        }
    }

    #[test]
    fn the_layout_of_the_source_does_not_show() {
        let laid_out = "Result <\n    Vec<u8>,Error >".parse().unwrap();
        assert_eq!(of(laid_out), "Result<Vec<u8>, Error>");
    }
}
