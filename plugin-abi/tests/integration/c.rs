//! Writes the contract's Rust source as C: structs, constants, comments.

use std::fmt::Write as _;

use syn::{Attribute, Expr, Field, Fields, GenericArgument, Item, Lit, PathArguments, ReturnType, Type};

/// The C declaration of a file of the contract, and the names of its structs.
pub(crate) fn declarations(source: &str) -> (String, Vec<String>) {
    let file = syn::parse_file(source).expect("the contract is Rust");
    let (mut text, mut names) = (String::new(), Vec::new());
    for item in &file.items {
        match item {
            Item::Const(constant) => {
                let name = constant.ident.to_string();
                text += &comment(&constant.attrs, "");
                text += &define(&name, &constant.expr);
            }
            Item::Struct(item) if item.ident == "Status" => {
                text += &comment(&item.attrs, "");
                text += "typedef int32_t innkeeper_status;\n";
            }
            Item::Struct(item) => {
                let name = c_name(&item.ident.to_string());
                text += &comment(&item.attrs, "");
                let Fields::Named(fields) = &item.fields else { panic!("{name} has named fields") };
                let fields: String = fields.named.iter().map(field).collect();
                write!(text, "struct {name} {{\n{fields}}};\n").expect("room");
                names.push(name);
            }
            Item::Impl(block) if block.trait_.is_none() => {
                for item in &block.items {
                    let syn::ImplItem::Const(constant) = item else { continue };
                    let Expr::Call(call) = &constant.expr else { continue };
                    let name = format!("STATUS_{}", constant.ident);
                    text += &comment(&constant.attrs, "");
                    text += &define(&name, &call.args[0]);
                }
            }
            _ => {}
        }
    }
    (text, names)
}

fn define(name: &str, value: &Expr) -> String {
    let value = match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.to_string(),
            Lit::Str(text) => format!("{:?}", text.value()),
            _ => panic!("`{name}` cannot be written in C"),
        },
        // `*b"..."`
        Expr::Unary(unary) => match unary.expr.as_ref() {
            Expr::Lit(literal) => match &literal.lit {
                Lit::ByteStr(bytes) => {
                    let bytes: Vec<_> =
                        bytes.value().iter().map(|byte| format!("'{}'", char::from(*byte))).collect();
                    format!("{{{}}}", bytes.join(", "))
                }
                _ => panic!("`{name}` cannot be written in C"),
            },
            _ => panic!("`{name}` cannot be written in C"),
        },
        _ => panic!("`{name}` cannot be written in C"),
    };
    format!("#define INNKEEPER_{name} {value}\n")
}

fn field(field: &Field) -> String {
    let name = field.ident.as_ref().expect("a name").to_string();
    format!("{}    {};\n", comment(&field.attrs, "    "), declare(&field.ty, &name))
}

/// `name` declared with the type.
fn declare(kind: &Type, name: &str) -> String {
    match kind {
        Type::Path(path) => {
            let last = path.path.segments.last().expect("a name");
            let PathArguments::AngleBracketed(arguments) = &last.arguments else {
                return format!("{} {name}", c_name(&last.ident.to_string()));
            };
            assert_eq!(last.ident, "Option", "only functions may be missing");
            let GenericArgument::Type(Type::BareFn(function)) = &arguments.args[0] else {
                panic!("{name}: only functions may be missing")
            };
            let arguments: Vec<_> = function
                .inputs
                .iter()
                .map(|argument| {
                    let (name, _) = argument.name.as_ref().expect("arguments have names");
                    declare(&argument.ty, &name.to_string())
                })
                .collect();
            let result = match &function.output {
                ReturnType::Default => "void".to_owned(),
                ReturnType::Type(_, kind) => declare(kind, "").trim_end().to_owned(),
            };
            format!("{result} (*{name})({})", arguments.join(", "))
        }
        Type::Ptr(pointer) => {
            let constant = if pointer.const_token.is_some() { "const " } else { "" };
            format!("{constant}{}", declare(&pointer.elem, &format!("*{name}")))
        }
        Type::Array(array) => {
            let Expr::Lit(length) = &array.len else { panic!("{name}: a length") };
            let Lit::Int(length) = &length.lit else { panic!("{name}: a length") };
            declare(&array.elem, &format!("{name}[{length}]"))
        }
        _ => panic!("`{name}` cannot be written in C"),
    }
}

/// The name of a type in C.
fn c_name(name: &str) -> String {
    match name {
        "usize" => "size_t".to_owned(),
        "u8" => "uint8_t".to_owned(),
        "u32" => "uint32_t".to_owned(),
        "u64" => "uint64_t".to_owned(),
        "i32" => "int32_t".to_owned(),
        "c_int" => "int".to_owned(),
        "c_void" => "void".to_owned(),
        ours => {
            let mut text = "innkeeper".to_owned();
            for letter in ours.chars() {
                if letter.is_ascii_uppercase() {
                    text.push('_');
                }
                text.push(letter.to_ascii_lowercase());
            }
            text
        }
    }
}

/// The documentation, as a comment of C.
fn comment(attributes: &[Attribute], indent: &str) -> String {
    let lines: Vec<String> = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
        .filter_map(|attribute| match &attribute.meta.require_name_value().ok()?.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().replace("[`", "`").replace("`]", "`")),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let body: String = lines
        .iter()
        .map(|line| format!("{indent} *{}{line}\n", if line.is_empty() { "" } else { " " }))
        .collect();
    format!("\n{indent}/*\n{body}{indent} */\n")
}
