//! Enums that have names. The name is what the wire, the database, a policy document and a log line
//! call the value.

/// Declares a closed enum with `ALL`, `name`, `parse` and serde by name.
macro_rules! named_enum {
    ($(#[$doc:meta])* pub enum $Enum:ident { $($(#[$variant_doc:meta])* $Variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $Enum {
            $($(#[$variant_doc])* #[serde(rename = $name)] $Variant,)*
        }

        impl $Enum {
            pub const ALL: &'static [$Enum] = &[$($Enum::$Variant,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $($Enum::$Variant => $name,)*
                }
            }

            pub fn parse(name: &str) -> Option<$Enum> {
                match name {
                    $($name => Some($Enum::$Variant),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $Enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use named_enum;
