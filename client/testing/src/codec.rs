//! Requests as messages, answers as the bytes that they are: those of commands are made as bytes,
//! and kept so for who asks again.

use std::marker::PhantomData;

use belay_proto::codec::MessageDecoder;
use bytes::BufMut as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};

/// Of an RPC with this request.
#[derive(Debug)]
pub(crate) struct AnswerCodec<R>(PhantomData<R>);

impl<R> Default for AnswerCodec<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R: Message + Default + 'static> Codec for AnswerCodec<R> {
    type Encode = Vec<u8>;
    type Decode = R;
    type Encoder = AnswerEncoder;
    type Decoder = MessageDecoder<R>;

    fn encoder(&mut self) -> AnswerEncoder {
        AnswerEncoder
    }

    fn decoder(&mut self) -> MessageDecoder<R> {
        MessageDecoder::default()
    }
}

/// An encoder that copies an answer.
#[derive(Debug)]
pub(crate) struct AnswerEncoder;

impl Encoder for AnswerEncoder {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, answer: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(answer.len());
        out.put_slice(&answer);
        Ok(())
    }
}
