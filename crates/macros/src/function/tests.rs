//! What `#[task]` writes and what it refuses, on token streams.

use super::*;

fn expanded(options: TokenStream, item: TokenStream) -> String {
    expand(options, item).to_string()
}

#[test]
fn the_expansion_is_the_one_a_person_would_write() {
    let text = expanded(
        quote!("reports.summarise", retries = 5, crate = c),
        quote! {
            /// Adds up a month.
            ///
            /// ```
            /// example();
            /// ```
            #[instrument]
            pub async fn summarise(
                month: String,
                /// Changes nothing.
                #[serde(default)]
                dry_run: bool,
                context: Context,
                State(db): State<Db>,
            ) -> Result<Summary, ReportError> { any tokens }
        },
    );
    let wanted = quote! {
        /// Adds up a month.
        ///
        /// ```
        /// example();
        /// ```
        #[instrument]
        pub async fn summarise(
            month: String,
            dry_run: bool,
            context: Context,
            State(db): State<Db>,
        ) -> Result<Summary, ReportError> { any tokens }

        #[doc = " Adds up a month."]
        #[doc = ""]
        #[doc = " The arguments of the task `reports.summarise`; the function [`summarise`](fn@summarise) runs it."]
        #[derive(c::__private::serde::Serialize, c::__private::serde::Deserialize)]
        #[serde(crate = "c :: __private :: serde")]
        pub struct summarise {
            #[doc = " The parameter `month`."]
            pub month: String,
            #[doc = r" Changes nothing."]
            #[serde(default)]
            pub dry_run: bool
        }

        #[automatically_derived]
        impl c::Task for summarise {
            const NAME: &'static str = "reports.summarise";
            type Output = <Result<Summary, ReportError> as c::TaskResult>::Output;
            fn options() -> c::TaskOptions {
                c::TaskOptions::new().retries(5u32)
            }
        }

        #[automatically_derived]
        impl c::TaskFn for summarise {
            fn register(tasks: c::Tasks) -> c::Tasks {
                fn sendable<F: ::core::future::Future + ::core::marker::Send>(future: F) -> F {
                    future
                }
                tasks.handle(|job: Self, given_2: Context, given_3: State<Db>|
                    sendable(summarise(job.month, job.dry_run, given_2, given_3)))
            }
        }
    };
    assert_eq!(text, wanted.to_string());
}

#[test]
fn conditions_follow_to_everything_that_is_written() {
    let item = quote! { #[cfg(a)] async fn f(#[cfg(b)] x: u8, #[cfg(c)] y: Context) -> R {} };
    let text = expanded(quote!("f"), item);
    let count = |cfg: TokenStream| text.matches(&cfg.to_string()).count();
    // The function, the struct, three impls; the parameter, the field or the closure's parameter, the value, and the impl for its type.
    assert_eq!((count(quote!(#[cfg(a)])), count(quote!(#[cfg(b)])), count(quote!(#[cfg(c)]))), (5, 4, 3), "{text}");
}

#[test]
fn what_is_no_task_function_is_refused() {
    for (item, wanted) in [
        (quote! { async fn f() {} }, "returns a `Result`"),
        (quote! { async fn f() -> impl Future {} }, "not `impl …`"),
        (quote! { async fn f() -> Result<impl Show, E> {} }, "not `impl …`"),
        (quote! { async unsafe fn f() -> R {} }, "is safe"),
        (quote! { async extern "C" fn f() -> R {} }, "no foreign ABI"),
        (quote! { async fn f<T>(x: T) -> R {} }, "no type parameters"),
        (quote! { async fn f<'a>() -> R {} }, "no type parameters"),
        (quote! { async fn f() -> R where u8: Copy {} }, "needs no bounds"),
        (quote! { async fn f(&self) -> R {} }, "no `self`"),
        (quote! { async fn f() -> R; }, "has a body"),
        (quote! { pub struct S { f: fn() } }, "goes on a function"),
        (quote! { impl S { async fn f() -> R {} } }, "goes on a function"),
    ] {
        let text = expanded(quote!("f"), item.clone());
        assert!(text.contains(wanted) && text.matches("compile_error").count() == 1, "{item} gave {text}");
    }
}

#[test]
fn all_errors_are_shown_at_once_and_the_function_stays() {
    let text = expanded(quote!(), quote! { pub async fn f(#[serde(default)] x: &str) {} });
    for wanted in ["name is missing", "returns a `Result`", "use `String`"] {
        assert!(text.contains(wanted), "{text} lacks {wanted}");
    }
    assert!(
        text.starts_with(
            &quote!(
                pub async fn f(x: &str) {}
            )
            .to_string()
        ),
        "{text}"
    );
    assert!(!text.contains("struct"), "{text}");
}

#[test]
fn block_comments_give_their_first_paragraph_too() {
    let text = expanded(quote!("f"), quote! { #[doc = "\n One.\n\n Two.\n"] async fn f() -> R {} });
    assert_eq!(text.matches("Two").count(), 1, "{text}");
}

#[test]
fn a_plain_function_is_a_blocking_task() {
    let text = expanded(quote!("f"), quote! { fn f(x: u8, context: Context) -> R {} });
    assert!(
        text.contains("handle_blocking") && !text.contains("sendable") && !text.contains("compile_error"),
        "{text}"
    );
}

#[test]
fn a_task_with_one_argument_takes_a_result_of_its_type() {
    let text = expanded(quote!("f", crate = c), quote! { async fn f(_: Context, x: Vec<u8>) -> R {} });
    let wanted = quote! {
        #[automatically_derived]
        impl c::canvas::Feeds<f> for Vec<u8> {
            const TAKES: c::canvas::Takes = c::canvas::Takes::Result;
        }
    };
    assert!(text.ends_with(&wanted.to_string()), "{text}");
}

#[test]
fn a_task_whose_argument_is_not_the_plain_value_of_its_type_takes_no_result_by_itself() {
    for parameters in [
        quote!(),
        quote!(context: Context),
        quote!(x: u8, y: u8),
        quote!(#[serde(flatten)] x: Options),
        quote!(#[serde(default, with = "hex")] x: Vec<u8>),
        quote!(#[cfg_attr(a, serde(skip))] x: u8),
    ] {
        let text = expanded(quote!("f"), quote! { async fn f(#parameters) -> R {} });
        assert!(text.contains("TaskFn") && !text.contains("Feeds"), "{parameters} gave {text}");
    }
    let text = expanded(quote!("f"), quote! { async fn f(#[serde(default, rename = "y")] x: u8) -> R {} });
    assert!(text.contains("Feeds"), "{text}");
}
