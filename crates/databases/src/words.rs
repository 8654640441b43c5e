//! The one way in which this crate spells out enums whose variants are words of the API: each with
//! its word, in both directions, and stored as that word.

/// Makes an enum of the API's words.
macro_rules! words {
    (
        $(#[$outer:meta])*
        pub enum $name:ident { $( $(#[$inner:meta])* $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$outer])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $( $(#[$inner])* #[serde(rename = $word)] $variant, )+
        }

        // Of words that are only answered, nobody reads any.
        #[allow(dead_code)]
        impl $name {
            /// Every one, in the API's order.
            pub const ALL: &'static [$name] = &[$( $name::$variant, )+];

            /// Its word in the API.
            pub fn name(self) -> &'static str {
                match self {
                    $( $name::$variant => $word, )+
                }
            }

            /// The one of that word, if it is one's.
            pub fn of_name(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|one| one.name() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use words;
